"""Jobs as users know them: submitted, driven, watched, resumed; what they fold, and what they hand out."""
