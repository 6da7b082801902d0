package engine

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"usher/messenger"
)

// oneHistory is a store of one history, which was trimmed.
type oneHistory struct {
	Store

	lines [][]byte
}

func (o oneHistory) History(context.Context, int, string) (lines [][]byte, whole bool, err error) {
	return o.lines, false, nil
}

// What was said is known by its digest, and by its time where the history does not reach
// back so far; a line that cannot be read is no reason to take everything for an agent's.
func TestWords(t *testing.T) {
	t.Parallel()
	at := func(second int) time.Time { return time.Unix(1_800_000_000+int64(second), 0) }
	var o oneHistory
	for _, l := range []Line{{At: at(10), What: "message"}, {At: at(20), What: "call", Sent: digest("m_ours")}} {
		body, err := l.marshal()
		if err != nil {
			t.Fatal(err)
		}
		o.lines = append(o.lines, body)
	}
	o.lines = append(o.lines, []byte("no line"))
	e := &Engine{store: o, Options: Options{Log: zerolog.Nop()}}
	w, err := (&partition{e: e}).words(t.Context(), "1:2")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		mid    messenger.MessageID
		second int
		want   bool
	}{
		"ours":                        {"m_ours", 20, true},
		"an agent's since":            {"m_agents", 15, false},
		"from before the first line":  {"m_old", 9, true},
		"an agent's, after the last":  {"m_agents", 30, false},
		"ours, but of an unknown age": {"m_ours", 0, true},
	} {
		if got := w.hold(&messenger.Event{MID: tt.mid, At: at(tt.second)}); got != tt.want {
			t.Errorf("%s: hold() = %v, want %v", name, got, tt.want)
		}
	}
}
