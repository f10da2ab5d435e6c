"""Asking a trained model: decode, encode, impute, forecast, generate, embed."""
