package simulator_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/messenger"
	"usher/messenger/simulator"
)

// wantChat compares Ann's thread in the inbox: folder, badge, notification, control.
func (w *world) wantChat(folder simulator.Folder, unread int, notified, controls bool) {
	w.t.Helper()
	want := simulator.Chat{PSID: ann, Folder: folder, Unread: unread, Notified: notified, Controls: controls}
	if diff := cmp.Diff(want, w.Chat(ann)); diff != "" {
		w.t.Errorf("in the inbox (-want +got):\n%s", diff)
	}
}

// In Conversation Routing a thread is in Main while the inbox has it.
func TestFoldersWithADefaultApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.wantChat(simulator.FolderDone, 0, false, false)
	w.says("hello")
	w.wantChat(simulator.FolderDone, 0, false, false)
	toInbox(w)
	w.wantChat(simulator.FolderMain, 0, true, true)
	w.says("anybody?")
	w.says("?")
	w.wantChat(simulator.FolderMain, 2, true, true)
	w.post("take_thread_control", "").wantOK(t)
	w.says("bot")
	w.wantChat(simulator.FolderDone, 0, false, false)
	if err := w.Agent().MovesToMain(ann); err != nil {
		t.Fatal(err)
	}
	w.wantChat(simulator.FolderMain, 2, true, true)
	if err := w.Agent().Opens(ann); err != nil {
		t.Fatal(err)
	}
	w.wantChat(simulator.FolderMain, 0, false, true)
	w.says("thanks")
	if err := w.Agent().Done(ann); err != nil {
		t.Fatal(err)
	}
	w.wantChat(simulator.FolderDone, 0, false, false)
	agent(t, w, func(a *simulator.Agent) (messenger.MessageID, error) { return a.Replies(ann, "one more thing") })
	w.wantChat(simulator.FolderMain, 0, false, true)
	w.says("yes?")
	w.wantChat(simulator.FolderMain, 1, false, true)
	w.pass(day)
	w.wantChat(simulator.FolderDone, 0, false, false) // control lapsed
}

// Done that keeps control files the thread until the customer writes again.
func TestDoneIsSelectable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.SetDone(simulator.DoneNothing)
	w.says("hello")
	toInbox(w)
	if err := w.Agent().Done(ann); err != nil {
		t.Fatal(err)
	}
	w.wantChat(simulator.FolderDone, 0, false, true)
	w.says("and?")
	w.wantChat(simulator.FolderMain, 1, false, true)
	w.SetDone(simulator.DonePass)
	if err := w.Agent().Done(ann); err != nil {
		t.Fatal(err)
	}
	w.wantOwner(bot)
	w.SetDone(simulator.DoneRelease)
	toInbox(w)
	w.wantChat(simulator.FolderMain, 0, true, true)
	if err := w.Agent().Done(ann); err != nil {
		t.Fatal(err)
	}
	w.wantOwner("")
}

// Without a default app a thread is in Main until Done, and again when she writes.
func TestFoldersInZeroConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t, zeroConfig)
	w.says("hello")
	w.wantChat(simulator.FolderMain, 1, false, false)
	if err := w.Agent().Done(ann); err != nil {
		t.Fatal(err)
	}
	w.wantChat(simulator.FolderDone, 0, false, false)
	for name, back := range map[string]func(){
		"she_writes": func() { w.says("again") },
		"passed":     func() { w.post("pass_thread_control", `"target_app_id":"263902037430900"`).wantOK(t) },
		"moved": func() {
			if err := w.Agent().MovesToMain(ann); err != nil {
				t.Error(err)
			}
		},
		"replied": func() {
			agent(t, w, func(a *simulator.Agent) (messenger.MessageID, error) { return a.Replies(ann, "hi") })
		},
	} {
		back()
		if got := w.Chat(ann).Folder; got != simulator.FolderMain {
			t.Errorf("%s: folder = %s, want main", name, got)
		}
		if err := w.Agent().Done(ann); err != nil {
			t.Fatal(err)
		}
		w.wantChat(simulator.FolderDone, 0, false, false)
	}
}

// An inbox that is the default app has what is idle.
func TestFoldersWhereTheInboxIsDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *simulator.Options) { o.DefaultApp = messenger.PageInbox })
	w.says("hello")
	w.wantChat(simulator.FolderMain, 1, false, false)
}

func TestInboxStandsNewestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t) // its clock stands still
	for _, id := range []messenger.PSID{"3", "1", "2"} {
		if _, err := w.Customer(id).Says("hello"); err != nil {
			t.Fatal(err)
		}
	}
	w.Customer("4") // has not written
	if _, err := w.Agent().Replies("1", "hi"); err != nil {
		t.Fatal(err)
	}
	var got []messenger.PSID
	for _, c := range w.Inbox() {
		got = append(got, c.PSID)
	}
	if diff := cmp.Diff([]messenger.PSID{"1", "2", "3"}, got); diff != "" {
		t.Errorf("inbox (-want +got):\n%s", diff)
	}
}

func TestAgentOpensAndSends(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Agent().Opens("404"); err == nil {
		t.Error("open nobody's thread succeeded")
	}
	w.says("hello")
	if err := w.Agent().Opens(ann); err != nil {
		t.Fatal(err)
	}
	if !w.Transcript(ann)[0].Seen {
		t.Error("what an agent has opened is not seen")
	}
	w.wantOwner("") // reading takes nothing
	w.told()
	agent(t, w, func(a *simulator.Agent) (messenger.MessageID, error) { return a.Sends(ann, "image") })
	w.wantOwner(messenger.PageInbox)
	w.wantTold(`standby echo of inbox "" image`)
	if l := w.Transcript(ann)[1]; l.Attachment != "image" || l.URL == "" || l.App != messenger.PageInbox {
		t.Errorf("line = %+v, want an image of the inbox", l)
	}
	if _, err := w.Agent().Sends(ann, "hologram"); err == nil {
		t.Error("send a hologram succeeded, want an error")
	}
}
