package org.literuntime;

/** How a model is run. Methods return this object, so that calls can be chained. */
public final class Options {
  private int threads;
  private Affinity affinity = Affinity.NONE;

  /** Threads to compute with; 0, which is the default, takes as many as there are cores. */
  public Options threads(int count) {
    if (count < 0) {
      throw new ArgumentException("threads must not be negative, but is " + count);
    }
    threads = count;
    return this;
  }

  /** Cores to bind the threads to; by default the system chooses. */
  public Options affinity(Affinity wanted) {
    if (wanted == null) {
      throw new ArgumentException("affinity must not be null");
    }
    affinity = wanted;
    return this;
  }

  int threads() {
    return threads;
  }

  Affinity affinity() {
    return affinity;
  }
}
