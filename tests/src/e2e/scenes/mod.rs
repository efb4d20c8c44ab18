//! What is played.

mod access;
mod fortio;
mod install;
mod kills;
mod nodes;
mod outages;
mod rollout;
mod services;
mod uninstall;
mod workloads;

use super::Scene;

/// All scenes, in order: each finds what the one before left.
pub(super) const ALL: [&[Scene]; 10] = [
    install::SCENES,
    fortio::SCENES,
    services::SCENES,
    access::SCENES,
    workloads::SCENES,
    rollout::SCENES,
    kills::SCENES,
    outages::SCENES,
    nodes::SCENES,
    uninstall::SCENES,
];
