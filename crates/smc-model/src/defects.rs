//! Defects of the kernel's SMC that public records name, and which of them a kernel has.

/// When [`ALL`] was made from the public CVE records.
pub const TABLE_DATE: &str = "2026-09";

/// One defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defect {
    /// Its name in the public records.
    pub name: &'static str,
    /// The first series that has it; none before.
    since: Option<(u32, u32)>,
    /// The releases in which the maintained series were mended, the oldest series first; later series never had it.
    mended: &'static [(u32, u32, u32)],
}

/// As recorded at [`TABLE_DATE`].
static ALL: [Defect; 7] = [
    Defect {
        name: "CVE-2026-23450",
        since: None,
        mended: &[(6, 12, 78), (6, 18, 20), (6, 19, 10), (7, 0, 0)],
    },
    Defect { name: "CVE-2026-46027", since: None, mended: &[(6, 12, 86), (6, 18, 27), (7, 0, 4)] },
    Defect { name: "CVE-2026-64541", since: None, mended: &[(6, 12, 97), (6, 18, 40), (7, 1, 5)] },
    Defect { name: "CVE-2026-74493", since: None, mended: &[(6, 12, 104), (6, 18, 45), (7, 1, 9)] },
    Defect { name: "CVE-2026-74692", since: None, mended: &[(6, 12, 104), (6, 18, 45), (7, 1, 9)] },
    Defect { name: "CVE-2026-80980", since: None, mended: &[(6, 18, 50), (7, 2, 4)] },
    Defect { name: "CVE-2026-80986", since: Some((6, 14)), mended: &[(6, 18, 50), (7, 2, 4)] },
];

/// What is known of a kernel's defects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defects {
    /// It is a vendor's, which mends silently: only the vendor knows.
    OfAVendor,
    /// It is a release of kernel.org's.
    Of {
        /// The ones that it has.
        open: Vec<&'static Defect>,
        /// Those of which the records do not say whether its series has them.
        unsaid: Vec<&'static Defect>,
    },
}

/// What is known of the kernel with this release and version (`uname -r` and `-v`).
pub fn defects(release: &str, version: &str) -> Defects {
    let Some(kernel) = upstream(release, version) else { return Defects::OfAVendor };
    let (mut open, mut unsaid) = (Vec::new(), Vec::new());
    for defect in &ALL {
        match defect.is_in(kernel) {
            Some(true) => open.push(defect),
            Some(false) => {}
            None => unsaid.push(defect),
        }
    }
    Defects::Of { open, unsaid }
}

impl Defect {
    /// `None` where the records do not say it of the series.
    fn is_in(&self, (major, minor, patch): (u32, u32, u32)) -> Option<bool> {
        let series = (major, minor);
        if self.since.is_some_and(|since| series < since) {
            return Some(false);
        }
        let of_series = |mended: &&(u32, u32, u32)| (mended.0, mended.1) == series;
        if let Some(mended) = self.mended.iter().find(of_series) {
            return Some(patch < mended.2);
        }
        let (first, last) = (self.mended.first()?, self.mended.last()?);
        if series > (last.0, last.1) {
            return Some(false);
        }
        // A series that nobody maintains any more was never mended; of one older than all that were, nothing is said, unless it is
        // known since when there is the defect.
        (self.since.is_some() || series > (first.0, first.1)).then_some(true)
    }
}

/// The release of kernel.org's that a kernel is. Debian's are: it takes stable releases as they are, and names them in the release or
/// in the version.
fn upstream(release: &str, version: &str) -> Option<(u32, u32, u32)> {
    if let Some((_, debian)) = version.split_once("Debian ") {
        return numbers(debian.split(['-', '~', ' ', '+']).next()?);
    }
    // Whoever builds one themselves may name it; what others sell has more to its name.
    numbers(release)
}

fn numbers(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    let numbers = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests;
