"""What reads the answers of others, given whatever a fuzzer thinks of: ``make fuzz``."""
