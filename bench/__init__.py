"""`python -m bench`: how fast the engine is, as a share of what the machine allows and beside other engines."""
