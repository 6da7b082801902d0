package handover

import (
	"testing"
	"time"
)

func TestOlder(t *testing.T) {
	t.Parallel()
	second := time.Date(2026, time.November, 2, 10, 0, 1, 0, time.UTC)
	ms := func(n int) time.Time { return second.Add(time.Duration(n) * time.Millisecond) }
	tests := map[string]struct {
		t, than time.Time
		want    bool
	}{
		"a_millisecond_older":               {ms(499), ms(500), true},
		"the_same":                          {ms(500), ms(500), false},
		"newer":                             {ms(501), ms(500), false},
		"in_one_whole_second":               {second, ms(500), false},
		"than_a_whole_second":               {ms(-1), second, true},
		"whole_seconds_that_differ":         {second.Add(-time.Second), second, true},
		"the_same_whole_second":             {second, second, false},
		"a_whole_second_before_its_follow":  {second, ms(1000), true},
		"in_the_second_of_a_whole_one":      {ms(999), second, false},
		"unknown":                           {time.Time{}, second, false},
		"than_unknown":                      {second, time.Time{}, false},
		"unknown_than_unknown":              {time.Time{}, time.Time{}, false},
		"the_whole_second_after_in_between": {ms(1500), second, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Older(tt.t, tt.than); got != tt.want {
				t.Errorf("Older(%v, %v) = %v, want %v", tt.t, tt.than, got, tt.want)
			}
		})
	}
}

func TestLate(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.November, 2, 10, 0, 0, 500_000_000, time.UTC)
	before, after := at.Add(-time.Minute), at.Add(time.Minute)
	tests := map[string]struct {
		state State
		t     time.Time
		want  bool
	}{
		"nothing_has_changed_yet":   {State{}, at, false},
		"older_than_the_change":     {State{ControlAt: at}, before, true},
		"at_the_change":             {State{ControlAt: at}, at, false},
		"after_the_change":          {State{ControlAt: at}, after, false},
		"older_than_the_way_back":   {State{ControlAt: before, Awaiting: AwaitingTake, AskedAt: after}, at, true},
		"after_the_way_back":        {State{ControlAt: before, Awaiting: AwaitingTake, AskedAt: at}, after, false},
		"way_back_of_unknown_time":  {State{ControlAt: before, Awaiting: AwaitingTake}, at, false},
		"older_than_a_mere_message": {State{ControlAt: before, Awaiting: AwaitingOwner, AskedAt: after}, at, false},
		"unknown":                   {State{ControlAt: at}, time.Time{}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := late(tt.state, tt.t); got != tt.want {
				t.Errorf("late(%+v, %v) = %v, want %v", tt.state, tt.t, got, tt.want)
			}
		})
	}
}
