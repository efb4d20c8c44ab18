//! What is played.

mod access;
mod bad_input;
mod dual_stack;
mod first_minutes;
mod fortio;
mod full_node;
mod install;
mod kills;
mod lists;
mod many_services;
mod mesh;
mod nodes;
mod outages;
mod peers;
mod port;
mod required;
mod rollout;
mod services;
mod survives;
mod uninstall;
mod upgrade;
mod workloads;

use super::Scene;

/// All scenes, in order: each finds what the one before left.
pub(super) const ALL: [&[Scene]; 22] = [
    install::SCENES,
    fortio::SCENES,
    services::SCENES,
    dual_stack::SCENES,
    peers::SCENES,
    access::SCENES,
    workloads::SCENES,
    full_node::SCENES,
    many_services::SCENES,
    rollout::SCENES,
    mesh::SCENES,
    upgrade::SCENES,
    bad_input::SCENES,
    kills::SCENES,
    outages::SCENES,
    port::SCENES,
    survives::SCENES,
    lists::SCENES,
    required::SCENES,
    nodes::SCENES,
    first_minutes::SCENES,
    uninstall::SCENES,
];
