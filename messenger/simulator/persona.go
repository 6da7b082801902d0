package simulator

import (
	"net/url"
	"slices"
)

// persona is a name and a picture with which messages of the Page can be signed.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages/personas
type persona struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Picture string `json:"profile_picture_url"`
}

const (
	maxPersonaName = 50
	// maxPersonas is how many the simulator keeps; Meta names no number.
	maxPersonas = 1000
)

// addPersona is POST /{page}/personas.
func (m *Meta) addPersona(c *call) (any, *GraphError) {
	p := persona{Name: c.params.text("name"), Picture: c.params.text("profile_picture_url")}
	switch {
	case p.Name == "":
		return nil, bad("The parameter name is required")
	case p.Picture == "":
		return nil, bad("The parameter profile_picture_url is required")
	case len(m.personas) >= maxPersonas:
		return nil, bad("The Page has %d personas already", maxPersonas)
	}
	if refused := longest("name", p.Name, maxPersonaName); refused != nil {
		return nil, refused
	}
	if refused := fetchable(p.Picture); refused != nil {
		return nil, refused
	}
	p.ID = m.number("7")
	m.personas = append(m.personas, p)
	return map[string]string{"id": p.ID}, nil
}

// listPersonas is GET /{page}/personas, newest first.
func (m *Meta) listPersonas(c *call) (any, *GraphError) {
	newest := slices.Clone(m.personas)
	slices.Reverse(newest)
	rows, rest, refused := part(newest, request{c.root + c.node + "/" + EdgePersonas, url.Values{}, c.params.text}, func(p persona) string { return p.ID })
	return listing{rows, rest}, refused
}

// findPersona returns a persona's place, or -1.
func (m *Meta) findPersona(id string) int {
	return slices.IndexFunc(m.personas, func(p persona) bool { return p.ID == id })
}

// readPersona is GET /{persona}.
func (m *Meta) readPersona(c *call) (any, *GraphError) {
	i := m.findPersona(c.node)
	if i < 0 {
		return nil, unsupported(c)
	}
	return m.personas[i], nil
}

// deletePersona is DELETE /{persona}.
func (m *Meta) deletePersona(c *call) (any, *GraphError) {
	i := m.findPersona(c.node)
	if i < 0 {
		return nil, unsupported(c)
	}
	m.personas = slices.Delete(m.personas, i, i+1)
	return success{Success: true}, nil
}

// signature returns the name with which a message is signed.
func (m *Meta) signature(id string) (string, *GraphError) {
	if id == "" {
		return "", nil
	}
	i := m.findPersona(id)
	if i < 0 {
		return "", bad("Param persona_id %s is not a persona of this Page", id)
	}
	return m.personas[i].Name, nil
}
