//! The table of what was seen.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::Scene;

/// What came of a scene.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The scene's name.
    pub scene: &'static str,
    /// What it shows.
    pub shows: &'static str,
    /// Whether all was as it must be.
    pub passed: bool,
    /// What was seen, or what was wrong.
    pub seen: String,
    /// How long it took on this machine.
    pub seconds: f32,
}

impl Row {
    pub(super) fn new(scene: &Scene, result: Result<String>, took: Duration) -> Self {
        let (passed, seen) = match result {
            Ok(seen) => (true, seen),
            Err(error) => (false, format!("{error:#}")),
        };
        Self { scene: scene.name, shows: scene.shows, passed, seen, seconds: took.as_secs_f32() }
    }
}

/// The line above the rows.
pub fn header() -> String {
    format!("  {:24} {:>7}  seen", "scene", "after")
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.passed { "✓" } else { "✗" };
        write!(f, "{sign} {:24} {:>5.0} s  {}", self.scene, self.seconds, self.seen)
    }
}

/// Writes the rows as JSON.
pub fn write(path: &Path, rows: &[Row]) -> Result<()> {
    let text = serde_json::to_string_pretty(rows)?;
    std::fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))
}
