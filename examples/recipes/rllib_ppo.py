"""PPO of RLlib. Ray pins gymnasium 1.2.2, so it needs an environment of its own.

    python -m venv ray && ray/bin/pip install "ray[rllib]" "gymnasium==1.2.2" torch .

Run: ray/bin/python examples/recipes/rllib_ppo.py --world freedoom_game --iterations 10
"""

import argparse

import gymnasium
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env

parser = argparse.ArgumentParser()
parser.add_argument("--world", default="freedoom")
parser.add_argument("--iterations", type=int, default=100)
parser.add_argument("--batch", type=int, default=512)
arguments = parser.parse_args()


def make_env(config: dict) -> gymnasium.Env:
    """Make the environment in the process of an env runner, where li_env must be imported."""
    import li_env  # noqa: F401

    return gymnasium.make("LightInteraction/Explore-v0", observation="frame", frame_size=(84, 84), **config)


ray.init(include_dashboard=False)
register_env("light-interaction", make_env)
config = (
    PPOConfig()
    .environment("light-interaction", env_config={"world": arguments.world})
    .env_runners(num_env_runners=0, num_envs_per_env_runner=1)
    .training(train_batch_size_per_learner=arguments.batch, minibatch_size=min(128, arguments.batch), num_epochs=2)
)
algorithm = config.build_algo()
for iteration in range(arguments.iterations):
    result = algorithm.train()
    mean = result["env_runners"].get("episode_return_mean", float("nan"))
    print(f"iteration {iteration}: mean return {mean:.2f}")
algorithm.stop()
ray.shutdown()
