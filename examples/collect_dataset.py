"""Record episodes of a policy for imitation: one .npz per episode with observations, actions, rewards and measures.

Run: python examples/collect_dataset.py --episodes 72 --out outputs/dataset
"""

import argparse
from pathlib import Path

import gymnasium
import numpy as np

from li_env import Action, play_episodes

parser = argparse.ArgumentParser()
parser.add_argument("--world", default="freedoom")
parser.add_argument("--episodes", type=int, default=16)
parser.add_argument("--batch", type=int, default=8, help="episodes that step together")
parser.add_argument("--out", type=Path, default=Path("outputs/dataset"))
arguments = parser.parse_args()
arguments.out.mkdir(parents=True, exist_ok=True)

env = gymnasium.make("LightInteraction/PointGoal-v0", world=arguments.world, observation="frame")


def act(views):
    """Turn to the goal, walk, stop when it is near; after a collision turn at random. One action per view."""
    actions = []
    for view in views:
        distance, bearing = view.observation["pointgoal"]  # length units; radians, positive to the right
        if distance < 1.5:
            actions.append(env.unwrapped.stop_action)
        elif view.info["blocked"] > 0.3:
            actions.append(int(view.generator.choice([Action.TURN_LEFT, Action.TURN_RIGHT])))
        elif abs(bearing) > 0.5:
            actions.append(Action.TURN_RIGHT if bearing > 0 else Action.TURN_LEFT)
        else:
            actions.append(Action.FORWARD)
    return actions, None  # nothing to remember


# Every episode is a function of its number and the seeds: the same at every batch size, on every machine of one kind.
successes = []
for episode in play_episodes(env, act, arguments.episodes, batch=arguments.batch, observations=True):
    np.savez_compressed(
        arguments.out / f"episode-{episode.number:05d}.npz",
        rgb=np.stack([observation["rgb"] for observation in episode.observations]),  # uint8 [n + 1, H, W, 3]
        pointgoal=np.stack([observation["pointgoal"] for observation in episode.observations]),  # float32 [n + 1, 2]
        pose=np.stack([info["pose"] for info in episode.infos]),  # float64 [n + 1, 4, 4]
        action=np.array(episode.actions),  # [n]
        reward=episode.rewards,  # float64 [n]
        terminated=episode.terminated,
        success=episode.measures["success"],
    )
    successes.append(episode.measures["success"])
    print(f"episode {episode.number}: {len(episode.actions)} steps, SPL {episode.measures['spl']:.2f}")
env.close()
print(f"wrote {len(successes)} episodes to {arguments.out}, success {np.mean(successes):.2f}")
