package simulator

// maxUploads bounds the attachments that are kept for later: the newest. Meta
// keeps them for 90 days.
const maxUploads = 10_000

// uploads are attachments that can be sent by their id.
type uploads struct {
	kinds map[string]string // id to type
	ids   []string          // oldest first
}

// keep stores an attachment of a type for later and returns its id.
func (m *Meta) keep(kind string) string {
	id := m.number("9")
	u := &m.uploads
	if len(u.ids) >= maxUploads {
		delete(u.kinds, u.ids[0])
		u.ids = u.ids[1:]
	}
	u.kinds[id], u.ids = kind, append(u.ids, id)
	return id
}
