"""The shared nouns: picture, preprocessing, labels, manifest, predictions, card, model file."""
