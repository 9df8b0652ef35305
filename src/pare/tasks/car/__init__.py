"""In-car voice commands, generated: joint intent and slots, in Chinese and English."""

from pare.tasks.car.corpus import generate

__all__ = ["generate"]
