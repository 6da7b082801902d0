package engine

import (
	"testing"
	"time"
)

// The store's clock is known to the length of a round trip, and to that of the
// shortest where others took longer: neither a question nor an answer that is held
// up for seconds moves it.
func TestStoreClock(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	const ahead = time.Hour // of the store's clock before ours
	tests := map[string]struct {
		told, took time.Duration // since the question was sent
		jump       time.Duration // of the store's clock before it answers
	}{
		"at_once":             {told: 0, took: time.Millisecond},
		"question_is_held_up": {told: 6 * time.Second, took: 6 * time.Second},
		"answer_is_held_up":   {told: 0, took: 6 * time.Second},
		"set_forward":         {told: 0, took: time.Millisecond, jump: time.Hour},
		"set_back":            {told: 0, took: time.Millisecond, jump: -time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours := begin
			p := &partition{e: &Engine{Options: Options{Now: func() time.Time { return ours }}}}
			sent := ours
			ours = ours.Add(time.Millisecond)
			p.setClock(sent.Add(ahead), sent)
			ours = ours.Add(time.Minute)

			sent = ours
			ours = sent.Add(tt.took)
			p.setClock(sent.Add(tt.told+ahead+tt.jump), sent)
			ours = ours.Add(time.Minute)
			if off := p.now().Sub(ours.Add(ahead + tt.jump)).Abs(); off > time.Millisecond {
				t.Errorf("the store's clock is estimated %v wrong, want 1ms at most", off)
			}
		})
	}
}
