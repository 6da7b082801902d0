// Package storetest is what a store must do, as tests that any store can be put
// through: whatever passes them can carry the engine and the webhook.
package storetest

import (
	"context"
	"testing"
	"time"

	"usher/handover"
	"usher/messenger"
)

// Store is everything that is asked of a store: by the engine (whose own
// interface tells what each method promises), by the webhook and by operators.
type Store interface {
	Heartbeat(ctx context.Context, member string, ttl time.Duration) (live []string, err error)
	Leave(ctx context.Context, member string) error
	Acquire(ctx context.Context, p int, token string, ttl time.Duration) (lease handover.Lease, held bool, err error)
	Renew(ctx context.Context, leases []handover.Lease, ttl time.Duration) (kept, lost []int, err error)
	Release(ctx context.Context, lease handover.Lease, clean bool) error
	Read(ctx context.Context, p, limit int) (handover.Batch, error)
	Load(ctx context.Context, p int, threads []string) ([][]byte, error)
	History(ctx context.Context, p int, thread string) (lines [][]byte, whole bool, err error)
	Outbox(ctx context.Context, p int) ([]handover.Pending, error)
	Commit(ctx context.Context, c handover.Commit) (handover.Committed, error)
	Pause(ctx context.Context, page messenger.PageID, d time.Duration, why string) error
	Pauses(ctx context.Context, pages []messenger.PageID) ([]handover.Pause, error)
	Wakes(ctx context.Context, fn func(partition int)) error
	Watch(ctx context.Context, page messenger.PageID) (handover.Watch, error)
	Delivered(ctx context.Context, page messenger.PageID, ago time.Duration) error
	Whole(ctx context.Context, page messenger.PageID) error
	Owe(ctx context.Context, page messenger.PageID, since time.Time) error
	Settle(ctx context.Context, page messenger.PageID, since time.Time) error

	// Append stores events, each once, or returns an error.
	Append(ctx context.Context, events []messenger.Event) error
	// Command stores an operator's command, once for each id.
	Command(ctx context.Context, key messenger.ThreadKey, id string, body []byte) error

	// Thread returns all that is stored of a thread.
	Thread(ctx context.Context, key messenger.ThreadKey) (body []byte, history, pending [][]byte, buried []handover.Buried, err error)
	// Threads calls fn for at most limit threads.
	Threads(ctx context.Context, limit int, fn func(key messenger.ThreadKey, body []byte) error) error
	// Buried and Episodes return the newest, newest first, at most limit.
	Buried(ctx context.Context, limit int) ([]handover.Buried, error)
	Episodes(ctx context.Context, limit int) ([][]byte, error)
	// Forget removes what was set aside of a thread, and its episodes.
	Forget(ctx context.Context, key messenger.ThreadKey) error
	// Backlog counts the entries that wait for an owner, and the effects that wait
	// to be carried out.
	Backlog(ctx context.Context) (entries, effects int64, err error)
	// Refused counts the commits refused since their lease was another's.
	Refused() int64
}

// Clock moves a store's time.
type Clock interface {
	// Advance makes d pass for the store: leases, timers, retention and horizon.
	Advance(d time.Duration)
}

// Limits of the store under test, so small that the tests reach them.
const (
	Partitions  = 64
	HistoryCap  = 16
	BuriedCap   = 4
	EpisodesCap = 3
	Retention   = 30 * 24 * time.Hour
	Horizon     = 48 * time.Hour
)

// Run puts a store to every test. For each one open returns an empty store that
// keeps to the limits above, and the clock that it goes by. The tests run in
// parallel.
func Run(t *testing.T, open func(t *testing.T) (Store, Clock)) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, b *bench){
		"duplicates_are_stored_once":                duplicatesAreStoredOnce,
		"concurrent_duplicates_are_stored_once":     concurrentDuplicatesAreStoredOnce,
		"duplicates_are_known_until_the_horizon":    duplicatesAreKnownUntilTheHorizon,
		"entries_keep_their_order_and_content":      entriesKeepTheirOrderAndContent,
		"a_thousand_events_across_64_threads":       aThousandEvents,
		"an_event_without_id_is_refused":            anEventWithoutIDIsRefused,
		"commands_are_stored_once":                  commandsAreStoredOnce,
		"reading_is_bounded_and_resumes":            readingIsBounded,
		"consumed_entries_are_gone":                 consumedEntriesAreGone,
		"new_entries_are_announced_once":            newEntriesAreAnnounced,
		"ones_own_new_entries_are_announced":        newEntriesOfOnesOwnAreAnnounced,
		"one_owner_at_a_time":                       oneOwnerAtATime,
		"one_of_many_acquires":                      oneOfManyAcquires,
		"reading_tells_owner_and_step":              readingTellsOwnerAndStep,
		"an_acquisition_may_be_repeated":            anAcquisitionMayBeRepeated,
		"renewal_keeps_a_lease":                     renewalKeepsALease,
		"renewal_tells_what_is_lost":                renewalTellsWhatIsLost,
		"a_lease_that_ran_out_serves_until_taken":   aLeaseThatRanOutServesUntilTaken,
		"a_release_is_announced_and_tells_clean":    aReleaseTellsClean,
		"what_is_anothers_is_not_released":          whatIsAnothersIsNotReleased,
		"without_a_token_nothing_is_owned":          withoutATokenNothingIsOwned,
		"a_commit_is_applied_whole":                 aCommitIsAppliedWhole,
		"a_zombie_is_refused_and_writes_nothing":    aZombieIsRefused,
		"a_stale_commit_is_refused":                 aStaleCommitIsRefused,
		"what_is_lost_is_known_when_it_comes_again": whatIsLostIsKnownWhenItComesAgain,
		"one_of_many_commits":                       oneOfManyCommits,
		"everything_may_be_repeated":                everythingMayBeRepeated,
		"what_is_no_entry_is_refused":               whatIsNoEntryIsRefused,
		"any_bytes_are_stored":                      anyBytesAreStored,
		"a_huge_commit":                             aHugeCommit,
		"timers_are_told_when_due":                  timersAreToldWhenDue,
		"threads_expire":                            threadsExpire,
		"a_thread_outlives_its_timer":               aThreadOutlivesItsTimer,
		"histories_are_capped":                      historiesAreCapped,
		"what_is_set_aside_is_capped":               whatIsSetAsideIsCapped,
		"episodes_are_capped":                       episodesAreCapped,
		"a_deleted_thread_is_gone":                  aDeletedThreadIsGone,
		"a_thread_deleted_and_born_again":           aThreadBornAgain,
		"effects_are_put_replaced_and_dropped":      effectsArePutReplacedAndDropped,
		"an_echoed_effect_is_known":                 anEchoedEffectIsKnown,
		"an_echo_is_known_until_the_horizon":        anEchoIsKnownUntilTheHorizon,
		"members_come_and_go":                       membersComeAndGo,
		"changes_of_members_are_announced":          changesOfMembersAreAnnounced,
		"a_pause_runs_out":                          aPauseRunsOut,
		"a_pause_is_only_prolonged":                 aPauseIsOnlyProlonged,
		"changes_of_pauses_are_announced":           changesOfPausesAreAnnounced,
		"what_was_found_is_stored_once":             whatWasFoundIsStoredOnce,
		"deliveries_are_noted":                      deliveriesAreNoted,
		"what_is_owed_stays_until_settled":          whatIsOwedStaysUntilSettled,
		"announcements_end_with_their_context":      announcementsEnd,
		"a_thread_is_shown_with_what_is_its_own":    aThreadIsShown,
		"threads_are_listed":                        threadsAreListed,
		"a_forgotten_thread_leaves_nothing_behind":  aForgottenThreadLeavesNothing,
		"the_backlog_is_counted":                    theBacklogIsCounted,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, clock := open(t)
			test(t, &bench{Store: store, Clock: clock})
		})
	}
}
