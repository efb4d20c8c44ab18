//! End to end on a real cluster, as its users see it: what kubectl, Events, conditions, logs and smcctl say.
//!
//! Scenes are played in order on one cluster. Each finds what the one before left, and says what it saw.
//!
//! They read what users read, also `smcctl` through `kubectl exec`. Load is real Fortio, mostly through real Services, and a failed request
//! fails the scene. Of the manifests only what a scene is about is patched, and timings where an emulated CPU needs more patience (an older
//! version's probes, the boot wait); the scene says which. `hack/test` plays the short ones.

mod load;
mod overlay;
mod report;
mod scenes;
mod world;

use std::time::Instant;

use anyhow::Result;

pub use report::{Row, header, write};
pub use world::World;

/// Something that happens to a cluster, and what must be seen of it.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// What `hack/e2e` calls it.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub shows: &'static str,
    /// Which runs play it without being asked for it by name.
    pub run: Run,
    play: fn(&mut World) -> Result<String>,
}

/// Which runs of `hack/e2e` play a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Every run.
    Short,
    /// All but `--short`.
    Long,
    /// Those on a cluster of both families, `--dual-stack`.
    DualStack,
    /// Those on a cluster whose kube-proxy does Services by nftables, `--proxy nftables`.
    Nftables,
}

/// All scenes in the order in which they are played.
pub fn all() -> Vec<Scene> {
    scenes::ALL.iter().flat_map(|scenes| scenes.iter()).copied().collect()
}

/// Plays a scene and takes down what was seen.
pub fn play(scene: &Scene, world: &mut World) -> Row {
    let begun = Instant::now();
    let result = (scene.play)(world);
    Row::new(scene, result, begun.elapsed())
}
