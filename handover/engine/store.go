package engine

import (
	"context"
	"time"

	"usher/handover"
	"usher/messenger"
)

// Store keeps partitions durable. Every method is safe for concurrent use and
// may be repeated: a repeat changes nothing.
type Store interface {
	// Heartbeat counts member as alive for ttl and returns all that are alive.
	Heartbeat(ctx context.Context, member string, ttl time.Duration) (live []string, err error)
	// Leave removes member and announces it.
	Leave(ctx context.Context, member string) error
	// Acquire takes partition p for ttl if nobody holds it, with a token that the
	// caller drew for this very acquisition. Where somebody does hold it, held is
	// false. A repeat with the same token succeeds.
	Acquire(ctx context.Context, p int, token string, ttl time.Duration) (lease handover.Lease, held bool, err error)
	// Renew prolongs leases by ttl from now: those of the partitions that are kept.
	// Lost are those whose lease is another's; err tells of what is neither.
	Renew(ctx context.Context, leases []handover.Lease, ttl time.Duration) (kept, lost []int, err error)
	// Release gives a lease back and announces it; clean says that no effect of
	// it was left in flight. Releasing what is another's does nothing.
	Release(ctx context.Context, lease handover.Lease, clean bool) error
	// Read returns up to limit entries and up to limit due timers, and whose the
	// partition is at which step.
	Read(ctx context.Context, p, limit int) (handover.Batch, error)
	// Load returns the threads' bodies in order, nil for one never stored.
	Load(ctx context.Context, p int, threads []string) ([][]byte, error)
	// History returns the lines of a thread's history, oldest first; whole tells that
	// these are all there ever were.
	History(ctx context.Context, p int, thread string) (lines [][]byte, whole bool, err error)
	// Outbox returns all pending effects of a partition, in no order.
	Outbox(ctx context.Context, p int) ([]handover.Pending, error)
	// Commit applies c if its lease holds and its Seq is the store's. A repeat of
	// the commit that was applied last succeeds and changes nothing. Errors are
	// handover.ErrLeaseLost, handover.ErrStale or the store's own.
	Commit(ctx context.Context, c handover.Commit) (handover.Committed, error)
	// Pause stops the calls of a Page for d from now and announces it as -1. It
	// prolongs a pause, and never shortens one; a second more or less is nothing.
	Pause(ctx context.Context, page messenger.PageID, d time.Duration, why string) error
	// Pauses returns the pauses of Pages, in order.
	Pauses(ctx context.Context, pages []messenger.PageID) ([]handover.Pause, error)
	// Wakes calls fn for each announcement until ctx ends: a partition that has
	// new entries or was released, or -1 when members changed, or a Page was paused
	// (or when announcements may have been missed). It reconnects by itself.
	Wakes(ctx context.Context, fn func(partition int)) error
}
