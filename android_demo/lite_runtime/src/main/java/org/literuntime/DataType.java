package org.literuntime;

/** Element type of a tensor, with MindSpore's numbers. */
public enum DataType {
  UNKNOWN(0, 0),
  BOOL(30, 1),
  INT8(32, 1),
  INT16(33, 2),
  INT32(34, 4),
  INT64(35, 8),
  UINT8(37, 1),
  UINT16(38, 2),
  UINT32(39, 4),
  UINT64(40, 8),
  FLOAT16(42, 2),
  FLOAT32(43, 4),
  FLOAT64(44, 8);

  private final int number;
  private final int size;

  DataType(int number, int size) {
    this.number = number;
    this.size = size;
  }

  /** Bytes of one element; 0 for UNKNOWN. */
  public int size() {
    return size;
  }

  static DataType of(int number) {
    for (DataType type : values()) {
      if (type.number == number) {
        return type;
      }
    }
    return UNKNOWN;
  }
}
