"""What missing values do: one file a policy, named as the option ``missing=`` names it."""
