package watch

import (
	"slices"
	"time"

	"usher/handover"
	"usher/messenger"
	"usher/messenger/graph"
)

const (
	// term is for how long Meta repeats what is not answered before it unsubscribes
	// the app. Where nobody has looked for as long, it may have done so, and somebody
	// may have subscribed again.
	term = time.Hour
	// failingAfter is how long deliveries may fail to be stored before it is an alarm.
	failingAfter = 5 * time.Minute
	// hour is the time in which a Page shows what is usual, and times how much more
	// than its longest pause is unusual; least is the shortest silence there is.
	hour  = time.Hour
	times = 3
	least = 3 * time.Minute
	// overlap is read again before what was missed, for clocks that differ.
	overlap = 2 * time.Minute
	// reach bounds how far back is looked: nothing older may be answered, and control
	// of what is older has lapsed. What was stored is known for twice as long.
	reach = 24 * time.Hour
)

// pace returns how often to look. Meta allows 200 calls a day for each customer who
// wrote that day: a Page that none writes to must not spend them on this.
//
// https://developers.facebook.com/docs/graph-api/overview/rate-limiting
func pace(w handover.Watch, every time.Duration) time.Duration {
	if w.Now.Sub(lastOf(w)) > 2*term {
		return times * every
	}
	return every
}

// lacking returns the fields that our app is not subscribed to, and the union of
// those that it is and should be.
func lacking(subs []graph.Subscription, app messenger.AppID, want []string) (missing, union []string) {
	for _, s := range subs {
		if s.App == app {
			union = slices.Clone(s.Fields)
		}
	}
	for _, f := range want {
		if !slices.Contains(union, f) {
			missing, union = append(missing, f), append(union, f)
		}
	}
	return missing, union
}

// lastOf returns the last minute in which a delivery came; zero for none.
func lastOf(w handover.Watch) time.Time {
	if len(w.Seen) == 0 {
		return time.Time{}
	}
	return w.Seen[len(w.Seen)-1]
}

// gap returns since when something may have been missed; ok is false where nothing
// can have been, since nothing was ever expected. Of what came and of when all was
// well the earlier counts: before Meta unsubscribes it has failed for an hour, and
// where a field was missing the others came.
func gap(w handover.Watch) (since time.Time, ok bool) {
	since = lastOf(w)
	if since.IsZero() || !w.Whole.IsZero() && w.Whole.Before(since) {
		since = w.Whole
	}
	return within(since.Add(-overlap), w.Now), !since.IsZero()
}

// within returns since, but no more than reach ago.
func within(since, now time.Time) time.Time {
	if bound := now.Add(-reach); since.Before(bound) {
		return bound
	}
	return since
}

// unwatched tells whether nobody has looked for so long that Meta may have
// unsubscribed us meanwhile.
func unwatched(w handover.Watch) bool { return !w.Whole.IsZero() && w.Now.Sub(w.Whole) > term }

// allowed returns for how long a Page may be quiet, going by the hour before: more
// than most where it has too little traffic to tell.
func allowed(w handover.Watch) time.Duration {
	longest, before := time.Duration(0), lastOf(w).Add(-hour)
	for _, minute := range w.Seen {
		if !minute.Before(before) {
			longest, before = max(longest, minute.Sub(before)), minute
		}
	}
	return max(times*longest, least)
}

// silent tells whether a Page is quiet for longer than is usual of it; of one that
// may be quiet for longer than most that cannot be told.
func silent(w handover.Watch, most time.Duration) bool {
	limit := allowed(w)
	return len(w.Seen) > 0 && limit <= most && w.Now.Sub(lastOf(w))-time.Minute > limit // it came some time in that minute
}

// found returns what a conversation has that was said from since to until, oldest
// first, as events. Those that were delivered have the same ids.
func found(page messenger.PageID, c graph.Conversation, since, until time.Time) []messenger.Event {
	if c.Customer == "" {
		return nil
	}
	var events []messenger.Event
	spoke := false // the Page has, after what is looked at
	for _, m := range c.Messages {
		if !m.At.Before(since.Truncate(time.Second)) && !m.At.After(until) {
			ev := messenger.Event{
				Thread: messenger.ThreadKey{Page: page, PSID: c.Customer}, Kind: messenger.KindMessage, MID: m.MID,
				At: m.At, Text: m.Text, Backfilled: true,
			}
			if m.Page { // the bot, or an agent: the thread's history tells
				ev.Kind, ev.ID = messenger.KindEcho, string(messenger.KindEcho)+":"+string(m.MID)
			} else {
				ids := messenger.MessageIDs(m.MID)
				ev.ID, ev.Aliases, ev.Answered = ids[0], ids[1:], spoke
			}
			events = append(events, ev)
		}
		spoke = spoke || m.Page
	}
	slices.Reverse(events)
	return events
}
