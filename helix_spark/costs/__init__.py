"""What results cost, and what will be edited next. Pure: records in, numbers out."""
