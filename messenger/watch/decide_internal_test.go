package watch

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/handover"
	"usher/messenger"
	"usher/messenger/graph"
)

// noon is the store's time.
func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// seen is a Page whose deliveries came so many minutes before noon.
func seen(ago ...int) handover.Watch {
	w := handover.Watch{Now: noon()}
	for _, m := range ago {
		w.Seen = append(w.Seen, noon().Add(-time.Duration(m)*time.Minute))
	}
	slices.SortFunc(w.Seen, time.Time.Compare)
	return w
}

// every lists the minutes from one to another, in steps.
func every(step, from, to int) (ago []int) {
	for m := from; m <= to; m += step {
		ago = append(ago, m)
	}
	return ago
}

func TestSilent(t *testing.T) {
	t.Parallel()
	const most = 10 * time.Minute
	tests := map[string]struct {
		w       handover.Watch
		allowed time.Duration
		silent  bool
	}{
		"never_any":                {w: seen(), allowed: least},
		"busy":                     {w: seen(every(1, 1, 63)...), allowed: least},
		"busy_and_quiet_for_a_bit": {w: seen(every(1, 4, 66)...), allowed: least},
		"busy_and_quiet":           {w: seen(every(1, 5, 67)...), allowed: least, silent: true},
		"with_pauses":              {w: seen(every(3, 10, 70)...), allowed: 9 * time.Minute},
		"with_pauses_and_quiet":    {w: seen(every(3, 11, 71)...), allowed: 9 * time.Minute, silent: true},
		"little_traffic":           {w: seen(every(4, 30, 90)...), allowed: 12 * time.Minute},
		"new":                      {w: seen(every(1, 20, 40)...), allowed: times * 40 * time.Minute},
		"one_long_pause":           {w: seen(append(every(1, 8, 20), every(1, 30, 68)...)...), allowed: 30 * time.Minute},
		"a_pause_long_ago":         {w: seen(append(every(1, 5, 65), 500)...), allowed: least, silent: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := allowed(tt.w); got != tt.allowed {
				t.Errorf("it may be quiet for %v, want %v", got, tt.allowed)
			}
			if got := silent(tt.w, most); got != tt.silent {
				t.Errorf("silent = %v, want %v", got, tt.silent)
			}
			if silent(tt.w, 0) {
				t.Error("silent, though that is switched off")
			}
		})
	}
}

func TestGap(t *testing.T) {
	t.Parallel()
	at := func(ago time.Duration) time.Time { return noon().Add(-ago) }
	tests := map[string]struct {
		seen  int // minutes ago; 0 for never
		whole time.Duration
		want  time.Duration // ago; 0 for nothing missed
	}{
		"never_watched":     {},
		"never_delivered":   {whole: 10 * time.Minute, want: 12 * time.Minute},
		"never_whole":       {seen: 70, want: 72 * time.Minute},
		"delivered_earlier": {seen: 70, whole: 10 * time.Minute, want: 72 * time.Minute},
		"whole_earlier":     {seen: 1, whole: 10 * time.Minute, want: 12 * time.Minute},
		"long_ago":          {seen: 3 * 24 * 60, whole: time.Minute, want: reach},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := seen()
			if tt.seen > 0 {
				w = seen(tt.seen, tt.seen+5)
			}
			if tt.whole > 0 {
				w.Whole = at(tt.whole)
			}
			since, ok := gap(w)
			if ok != (tt.want > 0) || ok && !since.Equal(at(tt.want)) {
				t.Errorf("gap = %v, %v, want %v ago", noon().Sub(since), ok, tt.want)
			}
			if got := unwatched(w); got {
				t.Error("unwatched, though somebody has looked within the hour, or never")
			}
			w.Whole = at(term + time.Second)
			if !unwatched(w) {
				t.Error("nobody has looked for more than an hour, and it is not unwatched")
			}
		})
	}
}

func TestLacking(t *testing.T) {
	t.Parallel()
	const us messenger.AppID = "1"
	want := []string{"messages", "standby"}
	tests := map[string]struct {
		subs           []graph.Subscription
		missing, union []string
	}{
		"nobody":  {missing: want, union: want},
		"others":  {subs: []graph.Subscription{{App: "2", Fields: []string{"messages", "feed"}}}, missing: want, union: want},
		"ours":    {subs: []graph.Subscription{{App: "2"}, {App: us, Fields: []string{"feed", "standby", "messages"}}}, union: []string{"feed", "standby", "messages"}},
		"in_part": {subs: []graph.Subscription{{App: us, Fields: []string{"feed", "standby"}}}, missing: []string{"messages"}, union: []string{"feed", "standby", "messages"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			missing, union := lacking(tt.subs, us, want)
			if !slices.Equal(missing, tt.missing) || !slices.Equal(union, tt.union) {
				t.Errorf("missing %q of %q, want %q of %q", missing, union, tt.missing, tt.union)
			}
		})
	}
}

// A conversation gives the events of the gap, oldest first, with the ids of the
// deliveries that did not come.
func TestFound(t *testing.T) {
	t.Parallel()
	at := func(second int) time.Time { return noon().Add(time.Duration(second) * time.Second) }
	c := graph.Conversation{Customer: "7", Messages: []graph.Said{
		{MID: "m_7", At: at(61), Text: "later"},
		{MID: "m_6", At: at(60), Text: "last"},
		{MID: "m_5", At: at(40), Page: true, Text: "agent"},
		{MID: "m_4", At: at(20)},
		{MID: "m_3", At: at(10), Text: "first"},
		{MID: "m_2", At: at(9), Page: true, Text: "before"},
	}}
	thread := messenger.ThreadKey{Page: "1", PSID: "7"}
	message := func(mid, text string, second int, answered bool) messenger.Event {
		return messenger.Event{
			ID: "message:" + mid, Aliases: []string{"quick_reply:" + mid, "postback:" + mid, "postback:" + mid + ":bare"},
			Thread: thread, Kind: messenger.KindMessage, MID: messenger.MessageID(mid), At: at(second), Text: text, Backfilled: true, Answered: answered,
		}
	}
	want := []messenger.Event{
		message("m_3", "first", 10, true), message("m_4", "", 20, true),
		{
			ID: "echo:m_5", Thread: thread, Kind: messenger.KindEcho, MID: "m_5", At: at(40), Text: "agent", Backfilled: true,
		},
		message("m_6", "last", 60, false),
	}
	if diff := cmp.Diff(want, found("1", c, at(10).Add(900*time.Millisecond), at(60).Add(100*time.Millisecond))); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	c.Customer = ""
	if got := found("1", c, at(0), at(100)); len(got) > 0 {
		t.Errorf("found %v of nobody", got)
	}
}
