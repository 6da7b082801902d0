package simulator

import (
	"cmp"
	"fmt"
	"slices"

	"usher/messenger"
)

// Folder is where agents find a thread.
type Folder string

// The folders. A thread stands in Main while the inbox is to answer it, until an
// agent clicks Done; in Conversation Routing that is while the inbox has control.
const (
	FolderMain Folder = "main"
	FolderDone Folder = "done"
)

// Chat is a thread as the Page Inbox shows it.
type Chat struct {
	PSID   messenger.PSID `json:"psid"`
	Folder Folder         `json:"folder"`
	// Unread counts what the customer wrote in Main since an agent last opened the
	// thread, replied or clicked Done. In Done it is 0.
	Unread int `json:"unread"`
	// Notified tells that the thread was passed to the inbox and nobody has opened it
	// since.
	Notified bool `json:"notified"`
	// Controls tells whether the inbox has control.
	Controls bool `json:"controls"`
}

// Inbox returns the threads in which something has been said, the one with the
// newest line first.
func (m *Meta) Inbox() []Chat {
	m.mu.Lock()
	defer m.mu.Unlock()
	var threads []*thread
	for _, t := range m.threads {
		if len(t.lines) > 0 {
			threads = append(threads, t)
		}
	}
	slices.SortFunc(threads, func(a, b *thread) int { return cmp.Compare(b.newest().MID, a.newest().MID) }) // message ids count up
	chats := make([]Chat, len(threads))
	for i, t := range threads {
		chats[i] = m.chat(t)
	}
	return chats
}

// Chat returns a thread as the Page Inbox shows it; of somebody who does not exist
// it is empty and in Done.
func (m *Meta) Chat(psid messenger.PSID) Chat {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.threads[psid]; ok {
		return m.chat(t)
	}
	return Chat{PSID: psid, Folder: FolderDone}
}

func (m *Meta) chat(t *thread) Chat {
	c := Chat{PSID: t.psid, Folder: FolderDone, Controls: m.owner(t) == m.opt.Inbox}
	if m.inMain(t) {
		c.Folder, c.Unread, c.Notified = FolderMain, t.unread, t.notified
	}
	return c
}

func (m *Meta) inMain(t *thread) bool { return !t.filed && m.leads(t, m.find(m.opt.Inbox)) }

// opened is a thread that an agent has read.
func (t *thread) opened() {
	t.unread, t.notified = 0, false
	t.see(FromCustomer)
}

// Agent answers customers in the Page Inbox.
type Agent struct{ m *Meta }

// Agent returns somebody who works in the Page Inbox.
func (m *Meta) Agent() *Agent { return &Agent{m: m} }

// Opens reads a thread: its badge and its notification go, and what the customer
// wrote is seen.
func (a *Agent) Opens(psid messenger.PSID) error {
	return a.acts(psid, "opens", func(t *thread) { t.opened() })
}

// MovesToMain moves a thread to the Main folder. With a default app set, the inbox
// takes control of it.
func (a *Agent) MovesToMain(psid messenger.PSID) error {
	return a.acts(psid, "moves to main", func(t *thread) {
		t.filed = false
		a.takes(t)
	})
}

// Done files a thread as done. If the inbox controls it, Options.Done says what
// becomes of that; otherwise nothing does.
func (a *Agent) Done(psid messenger.PSID) error {
	return a.acts(psid, "done", func(t *thread) {
		t.opened()
		t.filed = true
		if inbox := a.m.opt.Inbox; a.m.owner(t) == inbox {
			to := a.m.defaultApp
			switch {
			case a.m.opt.Done == DoneNothing:
			case a.m.opt.Done == DoneRelease, to == "", to == inbox: // nobody to pass to
				a.m.give(t, "")
			default:
				a.m.pass(t, to, doneMetadata)
			}
		}
	})
}

func (a *Agent) acts(psid messenger.PSID, what string, do func(*thread)) error {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	t, err := a.m.known(psid)
	if err != nil {
		return err
	}
	do(t)
	a.m.record(Entry{Act: &Act{Who: "agent", What: what, PSID: psid}})
	return nil
}

// Replies writes to a customer. With a default app set, the inbox takes control
// of a thread that it does not control.
func (a *Agent) Replies(psid messenger.PSID, text string) (messenger.MessageID, error) {
	return a.says(psid, "replies", Line{Text: text}, nil)
}

// Sends sends a customer a medium: image, audio, video or file. It takes control
// as a reply does.
func (a *Agent) Sends(psid messenger.PSID, kind string) (messenger.MessageID, error) {
	switch kind {
	case "image", "audio", "video", "file":
	default:
		return "", fmt.Errorf("send a %q: %w: image, audio, video and file are", kind, ErrNotThere)
	}
	return a.says(psid, "sends", Line{Attachment: kind, URL: cdn + kind}, &sendAttachment{Type: kind})
}

func (a *Agent) says(psid messenger.PSID, what string, l Line, medium *sendAttachment) (messenger.MessageID, error) {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	t, err := a.m.known(psid)
	if err != nil {
		return "", err
	}
	if !t.open(a.m.now(), maxExtension) {
		return "", fmt.Errorf("reply to %s: %w", psid, ErrWindow)
	}
	t.opened()
	t.filed = false
	a.takes(t)
	l.App = a.m.opt.Inbox
	line, _ := a.m.say(t, l, medium)
	a.m.appSent(t, a.m.find(a.m.opt.Inbox))
	a.m.record(Entry{Act: &Act{Who: "agent", What: what, Text: or(line.Text, line.Attachment), PSID: psid, MID: line.MID}})
	return line.MID, nil
}

func (a *Agent) takes(t *thread) {
	if inbox := a.m.opt.Inbox; a.m.owner(t) != inbox && (a.m.defaultApp != "" || a.m.filling(t)) {
		a.m.take(t, inbox, "")
	}
}
