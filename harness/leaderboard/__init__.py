"""Records -> statistics -> leaderboard. Stands on pandas, numpy and scipy; never on torch, ray or mlflow."""
