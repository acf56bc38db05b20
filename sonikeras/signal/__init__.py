"""The signal chain as functions: image, magnitudes, audio, spectrogram, picture, and back."""
