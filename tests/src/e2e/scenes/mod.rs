//! What is played.

mod fortio;
mod install;
mod rollout;
mod services;
mod uninstall;

use super::Scene;

/// All scenes, in order: each finds what the one before left.
pub(super) const ALL: [&[Scene]; 5] =
    [install::SCENES, fortio::SCENES, services::SCENES, rollout::SCENES, uninstall::SCENES];
