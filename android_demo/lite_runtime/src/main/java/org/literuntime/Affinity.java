package org.literuntime;

/** Which cores the threads of a session are bound to. The order is that of lr_options.affinity_mode. */
public enum Affinity {
  NONE,
  BIG_CORES_FIRST,
  LITTLE_CORES_FIRST
}
