package simulator

import "usher/messenger"

// AI is Meta's own AI agent, the app [messenger.BusinessAI]. It answers where the
// Page has switched it on, and asks nobody. Meta documents little of it: this is
// what production showed.
type AI struct{ m *Meta }

// AI returns the Page's AI agent, and connects it to the Page.
func (m *Meta) AI() *AI {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.connect(messenger.BusinessAI).fields = nil // it has no webhooks
	return &AI{m: m}
}

// Takes takes control of a thread. While it lasts, the entries of all events there
// carry is_ai_thread_owner. Doubts.AITakeTold says how often the previous
// controller is told, in seconds.
func (ai *AI) Takes(psid messenger.PSID) error {
	return ai.acts("takes", "", psid, func(t *thread) error {
		ai.m.take(t, messenger.BusinessAI, "")
		return nil
	})
}

// Replies writes to a customer; the echo is marked as ai_generated. Where another
// app has control, or the window is closed, it returns a [*GraphError].
func (ai *AI) Replies(psid messenger.PSID, text string) (mid messenger.MessageID, err error) {
	err = ai.acts("replies", text, psid, func(t *thread) error {
		a := ai.m.find(messenger.BusinessAI)
		line := Line{App: a.id, Text: text}
		if _, refused := ai.m.permit(t, a, send{line: line, window: day}, ""); refused != nil {
			return refused
		}
		line, _ = ai.m.say(t, line, nil)
		ai.m.appSent(t, a)
		mid = line.MID
		return nil
	})
	return mid, err
}

// Notes puts a notice of Meta's into the thread (message.admin_text), such as that
// the AI has handed over. Each app gets it as a message of hers; her phone, which
// words it otherwise, has no line of it.
func (ai *AI) Notes(psid messenger.PSID, text string) error {
	return ai.acts("notes", text, psid, func(t *thread) error {
		mid := messenger.MessageID(ai.m.next("m_"))
		ai.m.tellEach(t, event{
			kind: messenger.KindUnknown, field: fieldMessages, mid: mid, item: item{Message: &message{MID: mid, Text: text, AdminText: text}},
		})
		return nil
	})
}

// Leaves lets the thread fall idle. Nobody is told.
func (ai *AI) Leaves(psid messenger.PSID) error {
	return ai.acts("leaves", "", psid, func(t *thread) error {
		if refused := ai.m.release(t, ai.m.find(messenger.BusinessAI)); refused != nil {
			return refused
		}
		return nil
	})
}

func (ai *AI) acts(what, text string, psid messenger.PSID, do func(*thread) error) error {
	ai.m.mu.Lock()
	defer ai.m.mu.Unlock()
	t, err := ai.m.known(psid)
	if err != nil {
		return err
	}
	if err := do(t); err != nil {
		return err
	}
	ai.m.record(Entry{Act: &Act{Who: "ai", What: what, Text: text, PSID: psid}})
	return nil
}
