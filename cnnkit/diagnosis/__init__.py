"""Diagnosis: what to say of a spec that is wrong. A valid one never loads this."""
