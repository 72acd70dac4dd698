package org.literuntime.demo;

import java.util.List;

/** What a model said of a picture. */
final class Answer {
  /** A class and how likely it is, from 0 to 1. */
  static final class Guess {
    final String label;
    final double chance;

    Guess(String label, double chance) {
      this.label = label;
      this.chance = chance;
    }
  }

  /** Best first. */
  final List<Guess> guesses;

  /** Milliseconds to scale and normalise the picture. */
  final double preparing;

  /** Milliseconds to run the model. */
  final double running;

  Answer(List<Guess> guesses, double preparing, double running) {
    this.guesses = guesses;
    this.preparing = preparing;
    this.running = running;
  }
}
