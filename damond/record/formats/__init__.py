"""Other programs' formats: damo's records both ways, Parquet, JSON and CSV outwards."""
