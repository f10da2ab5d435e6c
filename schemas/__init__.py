"""What things are: entities, settings, dataset contracts, errors."""
