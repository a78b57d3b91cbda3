"""The plots: each a way in which a story can go."""

from plots_friends import broken, contest, fear, lost_treasure, newcomer, share_food
from plots_ways import build, gift, journey, lost_way, mystery, seed, way_home

PLOTS = (
    lost_treasure, share_food, fear, broken, contest, newcomer, mystery, seed, gift, build, lost_way, journey, way_home,
)  # fmt: skip
SEASON_OF = {seed: "spring"}
