"""What is believed: pure numpyro functions and their frozen specs.

Importing it switches JAX to 64-bit floats: in 32 bits NUTS does not mix on these posteriors.
"""

import jax

jax.config.update("jax_enable_x64", True)
