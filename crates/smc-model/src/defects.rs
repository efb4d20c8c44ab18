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
mod tests {
    use super::*;

    fn names(of: &[&Defect]) -> Vec<&'static str> {
        of.iter().map(|defect| defect.name).collect()
    }

    fn of(release: &str, version: &str) -> (Vec<&'static str>, Vec<&'static str>) {
        match defects(release, version) {
            Defects::Of { open, unsaid } => (names(&open), names(&unsaid)),
            Defects::OfAVendor => panic!("{release} {version} is a vendor's"),
        }
    }

    #[test]
    fn a_kernel_has_the_defects_that_its_series_was_mended_of_later() {
        let (open, unsaid) =
            of("6.12.117+deb12-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1~deb12u1 (2026-11-02)");
        assert_eq!((open, unsaid), (vec![], vec!["CVE-2026-80980"]));
        let (open, _) = of("6.12.80", "#1 SMP");
        assert_eq!(open, ["CVE-2026-46027", "CVE-2026-64541", "CVE-2026-74493", "CVE-2026-74692"]);
        assert_eq!(of("7.3.0", "#1 SMP"), (vec![], vec![]));
        assert_eq!(of("7.2.3", "#1").0, ["CVE-2026-80980", "CVE-2026-80986"]);
        // Nobody maintains 6.15.
        assert_eq!(of("6.15.11", "#1").0.len(), 6, "all but 80980, whose first mended series is 6.18");
    }

    #[test]
    fn of_a_series_that_no_record_names_nothing_is_said() {
        let (open, unsaid) = of("6.1.0-50-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.180-1 (2026-10-01)");
        assert_eq!(open, [""; 0]);
        assert_eq!(unsaid.len(), 6, "all but the one that came with 6.14: {unsaid:?}");
    }

    #[test]
    fn a_vendors_kernel_is_the_vendors_to_tell() {
        for (release, version) in [
            ("5.10.134-17.3.al8.x86_64", "#1 SMP Thu Oct 31 15:09:00 CST 2024"),
            ("6.8.0-45-generic", "#45-Ubuntu SMP PREEMPT_DYNAMIC"),
            ("5.14.0-427.el9.x86_64", "#1 SMP"),
            ("6.6.30-flatcar", "#1 SMP"),
            ("", ""),
        ] {
            assert_eq!(defects(release, version), Defects::OfAVendor, "{release}");
        }
    }

    #[test]
    fn the_tables_series_are_in_order() {
        for defect in &ALL {
            assert!(defect.mended.is_sorted() && !defect.mended.is_empty(), "{}", defect.name);
        }
    }
}
