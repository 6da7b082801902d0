package engine

import (
	"reflect"
	"testing"
	"time"

	"usher/handover"
)

// Whatever a line tells is read again as it was, but for its thread and episode, of
// which it is not the only record.
func TestLineIsStoredWhole(t *testing.T) {
	t.Parallel()
	l := Line{
		At: time.Date(2026, 11, 21, 12, 0, 0, 123_000_000, time.UTC), What: "call", ID: "call:x:0", From: handover.Waiting, To: handover.Human,
		Moved: true, Cause: handover.CauseButton, Standby: true, Effects: []string{"answer"}, Notes: []string{"rule a"}, Alarm: "loop",
		Call: "answer", Outcome: "ok", Error: "none", Attempt: 2, Sent: "a digest",
	}
	filled := reflect.ValueOf(l)
	for i := range filled.NumField() {
		if name := filled.Type().Field(i).Name; filled.Field(i).IsZero() && name != "Thread" && name != "Episode" {
			t.Errorf("%s is not tried", name)
		}
	}
	for _, l.ID = range []string{"call:x:0", "call", "callx:0", "message:m_1", ""} {
		body, err := l.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := UnmarshalLine(body); err != nil || !reflect.DeepEqual(got, l) {
			t.Errorf("%s, read again = %+v, %v; want %+v", body, got, err, l)
		}
	}
}
