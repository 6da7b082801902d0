package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usher/messenger"
	"usher/messenger/simulator"
)

// Operators see the threads and move them by hand.
func TestThreadCommands(t *testing.T) {
	t.Parallel()
	w := newMetaWorld(t, "USHER_HANDOVER_TARGETS", "helpdesk=123456789")
	w.meta.OtherApp("123456789")
	const ann, bob = messenger.PSID("7000000000000001"), messenger.PSID("7000000000000002")
	must(t)(w.meta.Customer(ann).Says("human"))
	must(t)(w.meta.Customer(bob).Says("hello"))
	w.settle(t)
	owned := func(psid messenger.PSID, want messenger.AppID) {
		t.Helper()
		w.settle(t)
		if got, _ := w.meta.Owner(psid); got != want {
			t.Errorf("%q controls the thread of %s, want %q", got, psid, want)
		}
	}

	list := w.usher(t, "thread", "list")
	row := regexp.MustCompile(`(?m)^` + testPage + `:` + string(ann) + ` +([0-9a-f]{10})  waiting  .*  keyword  `).FindStringSubmatch(list)
	if row == nil || !strings.Contains(list, testPage+":"+string(bob)) {
		t.Fatalf("thread list prints\n%s\nwant both, and ann waiting by keyword", list)
	}
	if !strings.Contains(w.logs.String(), `"thread":"`+row[1]+`"`) {
		t.Errorf("the log does not name ann's thread %s, as thread list does:\n%s", row[1], w.logs)
	}
	if list := w.usher(t, "thread", "list", "--phase", "waiting"); strings.Count(list, "\n") != 2 || !strings.Contains(list, string(ann)) {
		t.Errorf("thread list --phase waiting prints\n%s\nwant ann alone", list)
	}
	if list := w.usher(t, "thread", "list", "--limit", "1"); strings.Count(list, "\n") != 2 {
		t.Errorf("thread list --limit 1 prints\n%s\nwant one thread", list)
	}

	wantStory(t, w.usher(t, "thread", "take", string(ann)), `command take +decides: take\n$`)
	owned(ann, testApp)
	wantStory(t, w.story(t, ann), `now +bot since .* \(operator\)`, `take +ok  waiting → bot \(operator\)`)
	if sends := w.calls(ann, simulator.EdgeMessages); len(sends) != 1 {
		t.Errorf("Sends %+v, want the handoff alone: an operator's take says nothing", sends)
	}
	wantStory(t, w.usher(t, "thread", "release", string(ann)), `command release +decides: release\n$`)
	owned(ann, "")

	wantStory(t, w.usher(t, "thread", "pass", testPage+":"+string(bob), "--to", "helpdesk"),
		`command pass +bot → waiting \(operator\)  decides: say_and_pass handoff to 123456789\n$`)
	owned(bob, "123456789")
	wantStory(t, w.usher(t, "thread", "pass", string(bob)), `command pass +people have the thread already\n$`)
	owned(bob, "123456789")

	var all struct {
		Thread            string
		State             struct{ State struct{ Phase string } }
		History, Episodes []struct{ What, Thread string }
	}
	if err := json.Unmarshal([]byte(w.usher(t, "thread", "export", string(ann))), &all); err != nil {
		t.Fatal(err)
	}
	if all.Thread != testPage+":"+string(ann) || len(all.History) < 5 || len(all.Episodes) != 1 {
		t.Errorf("thread export prints %+v, want state, history and the episode that ended", all)
	}

	for _, psid := range []messenger.PSID{ann, bob} {
		if out := w.usher(t, "thread", "delete", string(psid), "--yes"); out != testPage+":"+string(psid)+" is forgotten\n" {
			t.Errorf("thread delete prints %q, want that it is forgotten", out)
		}
		if code, _, errs := exec(t, w.env, "thread", "show", string(psid), "--config", w.config); code != exitFailed || !strings.Contains(errs, "nothing is stored") {
			t.Errorf("of a deleted thread, thread show exits %d and says %s, want 1 and that nothing is stored", code, errs)
		}
		for key, content := range w.dump(t) {
			if strings.Contains(key+content, string(psid)) {
				t.Errorf("of a deleted thread %s holds %s", key, content)
			}
		}
	}
}

// What operators ask for in vain.
func TestThreadFaults(t *testing.T) {
	t.Parallel()
	graph := newRecorder(t)
	w := newWorld(t, graph.url)
	tests := map[string]struct {
		args []string
		env  map[string]string
		code int
		says string
	}{
		"unknown_thread":        {args: []string{"show", "7000000000000404"}, code: exitFailed, says: testPage + ":7000000000000404: nothing is stored"},
		"export_unknown_thread": {args: []string{"export", "7000000000000404"}, code: exitFailed, says: "nothing is stored"},
		"no_thread":             {args: []string{"show", testPage + ":"}, code: exitUsage, says: "names no thread"},
		"no_name":               {args: []string{"show"}, code: exitUsage, says: "accepts 1 arg"},
		"delete_without_yes":    {args: []string{"delete", "7000000000000404"}, code: exitUsage, says: "add --yes"},
		"unknown_phase":         {args: []string{"list", "--phase", "busy"}, code: exitUsage, says: "--phase: phase \"busy\": want bot, waiting, human or solved"},
		"limit":                 {args: []string{"list", "--limit", "0"}, code: exitUsage, says: "--limit is 0"},
		"unknown_target":        {args: []string{"pass", "7000000000000404", "--to", "sales"}, code: exitUsage, says: `"sales" is neither inbox, an app id, nor a name`},
		"target_ourselves":      {args: []string{"pass", "7000000000000404", "--to", testApp}, code: exitUsage, says: "our own app"},
		"another_page":          {args: []string{"take", "2000000000000002:7000000000000404"}, code: exitUsage, says: "Page 2000000000000002 is not among messenger.pages"},
		"embedded": {
			args: []string{"list"}, env: map[string]string{"USHER_REDIS_URL": "embedded"}, code: exitFailed, says: "and no usher serve runs",
		},
		"redis_unreachable": {
			args: []string{"list"}, env: map[string]string{"USHER_REDIS_URL": "redis://127.0.0.1:1/0"}, code: exitFailed, says: "connection refused",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := maps.Clone(w.env)
			maps.Copy(env, tt.env)
			code, out, errs := exec(t, env, slices.Concat([]string{"thread"}, tt.args, []string{"--config", w.config})...)
			if code != tt.code || !strings.Contains(errs, tt.says) || out != "" {
				t.Errorf("exits %d, prints %q and says %q, want %d, nothing and %q", code, out, errs, tt.code, tt.says)
			}
		})
	}
}

// Without a usher serve a command is stored all the same, and says so; the next
// one carries it out.
func TestThreadCommandWaits(t *testing.T) {
	t.Parallel()
	graph := newRecorder(t)
	w := newWorld(t, graph.url)
	const psid = messenger.PSID("7000000000000001")
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	var errs notebook
	code := make(chan int, 1)
	env := func(name string) (string, bool) { s, ok := w.env[name]; return s, ok }
	go func() {
		code <- run(ctx, []string{"thread", "pass", string(psid), "--config", w.config}, env, strings.NewReader(""), io.Discard, &errs)
	}()
	eventually(t, "the command is stored", func() bool { return !w.idle(t) })
	giveUp()
	// Who gives up before the store's answer has come cannot know that it is stored.
	says := []string{"no usher serve has carried it out yet", "store in partition 0: context canceled"}
	if got := <-code; got != exitFailed || !strings.Contains(errs.String(), says[0]) && !strings.Contains(errs.String(), says[1]) {
		t.Errorf("exits %d and says %q, want 1 and that nobody has carried it out", got, &errs)
	}
	w.serve(t)
	w.settled(t)
	row{T: t, world: w, graph: graph}.want(psid, sawHandoff+inbox)
}
