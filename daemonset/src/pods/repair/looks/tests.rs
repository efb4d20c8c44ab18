use super::*;
use crate::testing::test_values::record;

fn refused(reason: Reason) -> Change {
    Change::Seen(Arc::new(record("web-1", Verdict::refused(reason))))
}

fn out_of_time() -> Reason {
    Reason::BudgetExceeded { during: "add 10.0.0.9 to the same-node guard".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn an_add_that_failed_at_its_moment_is_made_up_for_at_once_and_in_the_next_seconds_and_once() {
    let (wanted, lost) = (watch::channel(Wanted::Unknown).0, LostPods::default());
    let obstruction = Obstruction::default();
    let mut looks = Looks { wanted, lost, made_up_for: BTreeSet::new(), obstruction };
    let silent = async |looks: &Looks| {
        tokio::time::timeout(Duration::from_secs(60), looks.lost.now.notified()).await.is_err()
    };
    looks.make_up_for(&[refused(Reason::NoRdmaDevice)]);
    assert!(silent(&looks).await, "no attempt at once would go better");

    looks.make_up_for(&[refused(Reason::NoRdmaDevice), refused(out_of_time())]);
    let begun = Instant::now();
    for after in AFTER_AN_ADD {
        looks.lost.now.notified().await;
        assert_eq!(begun.elapsed().as_secs(), after.as_secs());
    }
    assert!(silent(&looks).await);
    looks.make_up_for(&[refused(out_of_time())]);
    assert!(silent(&looks).await, "where repair fails as well, it would never rest");
    let Change::Seen(record) = refused(out_of_time()) else { unreachable!("it is seen") };
    looks.make_up_for(&[Change::Ended(record.attachment.clone())]);
    assert!(looks.made_up_for.is_empty());
}
