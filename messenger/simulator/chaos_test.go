package simulator_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// chaotic returns what a seed arms in a day, with the times.
func chaotic(t *testing.T, seed uint64) (armed []string) {
	t.Helper()
	bubble(t, func(w *world) {
		began := time.Now()
		w.Chaos(seed, time.Minute)
		time.Sleep(24 * time.Hour)
		w.Heal()
		for _, e := range w.Snapshot() {
			armed = append(armed, e.At.Sub(began).String()+" "+e.Act.Who+" "+e.Act.What+" "+e.Act.Text)
		}
		n := len(armed)
		time.Sleep(24 * time.Hour)
		if more := len(w.Snapshot()) - n; more > 0 {
			t.Errorf("%d more failures after Heal", more)
		}
	})
	return armed
}

func TestChaosFollowsItsSeed(t *testing.T) {
	t.Parallel()
	first := chaotic(t, 7)
	if diff := cmp.Diff(first, chaotic(t, 7)); diff != "" {
		t.Errorf("the same seed did otherwise:\n%s", diff)
	}
	if cmp.Equal(first, chaotic(t, 8)) {
		t.Error("another seed did the same")
	}
	if n := len(first); n < 1200 || n > 1700 {
		t.Errorf("%d failures in a day, want about one a minute", n)
	}
	for _, want := range []string{
		`fails any call {"code":80006,"times":-1,`, `{"code":613,`, `{"status":500,"code":-1,`, `{"status":502,"body":"`, `fails any call {"cut":true,`,
		`fails any call {"after":true,`, `","delay":"`, `fails any call {"hang":true,"times":1,`, `fails any call {"hang":true,"after":true,"times":1,`,
		`fails webhook {"cut":true,`, `fails webhook {"after":true,`, `fails webhook {"hang":true,"times":1,`, `fails webhook {"hang":true,"after":true,"times":1,`,
		`fails webhook {"times":`,
	} {
		if !slices.ContainsFunc(first, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("a day has no %s", want)
		}
	}
	for _, s := range first {
		if strings.Contains(s, `"lost"`) || !strings.Contains(s, `"for":"`) {
			t.Errorf("%s does not pass", s)
		}
	}
}

// Whatever goes wrong passes: after it all that was said is told, and calls succeed.
func TestChaosPasses(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		t := w.t
		w.Chaos(7, time.Second)
		w.Chaos(8, time.Second) // instead
		if !w.Faults().Chaos {
			t.Error("nothing is at work")
		}
		var said []string
		for i := range 200 {
			text := strings.Repeat("x", i+1)
			w.says(text)
			said = append(said, `messaging message "`+text+`"`)
			time.Sleep(time.Second)
		}
		w.Heal()
		told := w.told()
		slices.SortFunc(told, func(a, b string) int { return len(a) - len(b) })
		if len(told) == len(said) {
			t.Error("nothing came twice: did nothing go wrong?")
		}
		if diff := cmp.Diff(said, slices.Compact(told)); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		w.send("all is well", "").wantOK(t)
		if w.Faults().Chaos {
			t.Error("chaos is at work after Heal")
		}
	})
}

func TestChaosEndsWithThePage(t *testing.T) {
	t.Parallel()
	bubble(t, func(w *world) {
		w.Chaos(7, time.Second)
		w.Close()
		time.Sleep(time.Hour)
		if n := len(w.Snapshot()); n > 0 {
			w.t.Errorf("%d failures on a Page that is closed", n)
		}
	})
}
