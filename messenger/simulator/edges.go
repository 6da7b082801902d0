package simulator

import (
	"strconv"

	"usher/messenger"
)

// The thread control edges: they read the call, ask control.go, and answer.

type success struct {
	Success bool `json:"success"`
}

func (m *Meta) passEdge(c *call) (any, *GraphError) {
	return m.onThread(c, func(t *thread) *GraphError {
		c.entry.Target = messenger.AppID(c.params.text("target_app_id"))
		to, refused := m.mayPass(m.owner(t), c.app, c.entry.Target)
		if refused == nil {
			m.pass(t, to, c.entry.Metadata)
		}
		return refused
	})
}

func (m *Meta) takeEdge(c *call) (any, *GraphError) {
	return m.onThread(c, func(t *thread) *GraphError {
		refused := m.mayTake(t, c.app)
		if refused == nil {
			m.take(t, c.app.id, c.entry.Metadata)
		}
		return refused
	})
}

func (m *Meta) requestEdge(c *call) (any, *GraphError) {
	return m.onThread(c, func(t *thread) *GraphError { return m.request(t, c.app, c.entry.Metadata) })
}

func (m *Meta) releaseEdge(c *call) (any, *GraphError) {
	return m.onThread(c, func(t *thread) *GraphError { return m.release(t, c.app) })
}

func (m *Meta) extendEdge(c *call) (any, *GraphError) {
	return m.onThread(c, func(t *thread) *GraphError {
		seconds, err := strconv.Atoi(c.params.text("duration"))
		if err != nil {
			return bad("Param duration must be an integer")
		}
		return m.extend(t, c.app, seconds)
	})
}

func (m *Meta) onThread(c *call, do func(*thread) *GraphError) (any, *GraphError) {
	c.entry.Metadata = c.params.text("metadata")
	if refused := longest("metadata", c.entry.Metadata, maxMetadata); refused != nil {
		return nil, refused
	}
	t, refused := m.recipient(c)
	if refused != nil {
		return nil, refused
	}
	if refused := do(t); refused != nil {
		return nil, refused
	}
	return success{Success: true}, nil
}

// ownerEdge is GET /{page}/thread_owner: the controller and the default app see
// who it is, others only until when, and nobody sees anything of an idle thread.
func (m *Meta) ownerEdge(c *call) (any, *GraphError) {
	t, refused := m.recipient(c)
	if refused != nil {
		return nil, refused
	}
	type threadOwner struct {
		AppID      rawID `json:"app_id,omitempty"`
		Expiration int64 `json:"expiration"` // Unix seconds
	}
	type datum struct {
		Owner threadOwner `json:"thread_owner"`
	}
	data := []datum{}
	if owner := m.owner(t); owner != "" {
		d := datum{threadOwner{Expiration: t.until.Unix()}}
		if c.app.id == owner || c.app.id == m.defaultApp {
			d.Owner.AppID = m.appID(owner)
		}
		data = append(data, d)
	}
	return map[string]any{"data": data}, nil
}
