package simulator

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"usher/messenger"
)

// The edges, as they are named in [Call] and [Meta.FailNext].
const (
	EdgeMessages         = "messages"
	EdgePass             = "pass_thread_control"
	EdgeTake             = "take_thread_control"
	EdgeRequest          = "request_thread_control"
	EdgeRelease          = "release_thread_control"
	EdgeExtend           = "extend_thread_control"
	EdgeOwner            = "thread_owner"
	EdgeAttachments      = "message_attachments"
	EdgeMessengerProfile = "messenger_profile"
	EdgeUserSettings     = "custom_user_settings"
	EdgeSubscribedApps   = "subscribed_apps"
	EdgeConversations    = "conversations"
	EdgePersonas         = "personas"
	EdgePage             = "page"                  // GET /{page}?fields=…
	EdgeProfile          = "profile"               // GET /{psid}?fields=…
	EdgeConversation     = "conversation"          // GET /{conversation}?fields=…
	EdgeMessagesOf       = "conversation_messages" // GET /{conversation}/messages?fields=…
	EdgePersona          = "persona"               // GET or DELETE /{persona}
	EdgeBatch            = "batch"                 // POST / with many calls in one
	EdgeWebhook          = "webhook"               // deliveries, for FailNext and Latency only
)

// edge answers one kind of call. The lock is held.
type edge func(*call) (answer any, refused *GraphError)

func (m *Meta) routes() map[string]edge {
	return map[string]edge{
		"POST " + EdgeMessages:           m.messages,
		"POST " + EdgePass:               m.passEdge,
		"POST " + EdgeTake:               m.takeEdge,
		"POST " + EdgeRequest:            m.requestEdge,
		"POST " + EdgeRelease:            m.releaseEdge,
		"POST " + EdgeExtend:             m.extendEdge,
		"GET " + EdgeOwner:               m.ownerEdge,
		"POST " + EdgeAttachments:        m.upload,
		"GET " + EdgeMessengerProfile:    m.readProfile,
		"POST " + EdgeMessengerProfile:   m.writeProfile,
		"DELETE " + EdgeMessengerProfile: m.deleteProfile,
		"GET " + EdgeUserSettings:        m.readOwn,
		"POST " + EdgeUserSettings:       m.writeOwn,
		"DELETE " + EdgeUserSettings:     m.deleteOwn,
		"GET " + EdgeSubscribedApps:      m.subscriptions,
		"POST " + EdgeSubscribedApps:     m.subscribe,
		"DELETE " + EdgeSubscribedApps:   m.unsubscribe,
		"GET " + EdgePage:                m.page,
		"GET " + EdgeProfile:             m.person,
		"GET " + EdgeConversations:       m.conversations,
		"GET " + EdgeConversation:        m.readConversation,
		"GET " + EdgeMessagesOf:          m.readMessages,
		"GET " + EdgePersonas:            m.listPersonas,
		"POST " + EdgePersonas:           m.addPersona,
		"GET " + EdgePersona:             m.readPersona,
		"DELETE " + EdgePersona:          m.deletePersona,
	}
}

// call is one Graph call.
type call struct {
	app    *app // nil until the token is known
	method string
	node   string // the Page, "me", a customer, a conversation or a persona
	edge   string
	root   string // the address below which nodes are, with a slash at its end
	params params
	token  string
	entry  Call
}

func (c *call) target() target {
	t := target{edge: c.edge, psid: c.psid()}
	if c.app != nil {
		t.app = c.app.id
	}
	return t
}

// ServeHTTP answers the Graph API below /vNN.N/, and the control API below
// /_simulator/, see [OpenAPI].
func (m *Meta) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, controlPath) {
		m.api.ServeHTTP(w, r)
		return
	}
	p, refused := readParams(w, r)
	c := m.call(r.Method, r.URL.Path, p)
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		c.token = bearer
	}
	c.root = rootOf(r)
	m.do(r.Context(), c, refused).write(w)
}

// rootOf returns the address below which nodes are, as the caller has it.
func rootOf(r *http.Request) string {
	root := "http://" + r.Host + "/"
	if r.TLS != nil || r.URL.Scheme == "https" {
		root = "https://" + r.Host + "/"
	}
	if version, _, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/"); isVersion(version) {
		root += version + "/"
	}
	return root
}

// call makes the call of a path, with the token that p has.
func (m *Meta) call(method, path string, p params) *call {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &call{method: method, params: p, token: p.text("access_token")}
	c.node, c.edge = m.locate(path)
	return c
}

// do answers a call, unless something goes wrong with it. refused is what is
// wrong with it already.
func (m *Meta) do(ctx context.Context, c *call, refused *GraphError) reply {
	m.mu.Lock()
	c.app = m.byToken(c.token)
	f, failing := m.failure(c.target())
	latency := m.faults.latencyOf(c.edge)
	m.mu.Unlock()

	if m.pause(ctx, latency) != nil {
		return m.fail(c, Failure{Cut: true}, true) // the caller has gone
	}
	if failing && !f.After {
		if m.wait(ctx, f) != nil {
			f = Failure{Cut: true} // the caller has gone
		}
		if f.Cut || f.answers() {
			return m.fail(c, f, true)
		}
	}
	c.entry.AnswerLost = failing && f.After
	if refused == nil {
		refused = m.authorise(c)
	}
	var answer any
	if c.edge == EdgeBatch && c.method == http.MethodPost && refused == nil {
		answer, refused = m.batch(ctx, c)
	} else {
		answer, refused = m.settleCall(c, refused)
	}
	if c.entry.AnswerLost {
		if m.wait(ctx, f) != nil {
			f = Failure{Cut: true}
		}
		return m.fail(c, f, false)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a := reply{status: http.StatusOK, body: answer}
	if refused != nil {
		a = m.refusal(refused)
	}
	a.header = m.usageHeader(c.app)
	return a
}

// fail answers with what went wrong. Unless the call took effect it is recorded
// as it was answered.
func (m *Meta) fail(c *call, f Failure, record bool) reply {
	m.mu.Lock()
	defer m.mu.Unlock()
	cut := f.cuts()
	if f.Status == 0 {
		f.Status = http.StatusBadRequest
		if f.Body != "" {
			f.Status = http.StatusOK
		}
	}
	refused := &GraphError{
		Status: f.Status, Code: f.Code, Subcode: f.Subcode, Type: "OAuthException",
		Message: or(f.Message, fmt.Sprintf("(#%d) failed on purpose", f.Code)),
	}
	if record {
		c.entry.Error = "cut"
		if !cut {
			c.entry.Status, c.entry.Code, c.entry.Subcode, c.entry.Error = f.Status, f.Code, f.Subcode, or(f.Message, "failed on purpose")
			c.entry.Answer = m.keptJSON(refused.body())
		}
		m.recordCall(c)
	}
	if cut {
		return reply{cut: true}
	}
	a := m.refusal(refused)
	a.raw, a.header = f.Body, m.throttleHeader(f)
	for name, values := range f.Header {
		a.header[http.CanonicalHeaderKey(name)] = values
	}
	return a
}

// locate reads /v26.0/{node}/{edge}. The version may be missing. The lock is held.
func (m *Meta) locate(path string) (node, name string) {
	node, name, _ = strings.Cut(strings.Trim(path, "/"), "/")
	if isVersion(node) {
		node, name, _ = strings.Cut(name, "/")
	}
	inConversation := strings.HasPrefix(node, conversation)
	switch {
	case inConversation && name == EdgeMessages:
		name = EdgeMessagesOf
	case name != "":
	case node == "":
		name = EdgeBatch
	case m.isPage(node):
		name = EdgePage
	case inConversation:
		name = EdgeConversation
	case m.findPersona(node) >= 0:
		name = EdgePersona
	default:
		name = EdgeProfile
	}
	return node, name
}

func isVersion(s string) bool {
	return len(s) > 1 && s[0] == 'v' && strings.Trim(s[1:], "0123456789.") == ""
}

func (m *Meta) isPage(node string) bool { return node == "me" || node == string(m.opt.Page) }

// authorise checks a call's token and its proof.
func (m *Meta) authorise(c *call) *GraphError {
	if c.token == "" {
		return refuse(104, 0, "An access token is required to request this resource.")
	}
	if c.app == nil {
		return m.badToken(c.token)
	}
	m.mu.Lock()
	want := proof(c.app.secret, c.token)
	m.mu.Unlock()
	given := c.params.text("appsecret_proof")
	if given == "" && m.opt.CheckProof {
		return refuse(100, 0, "API calls from the server require an appsecret_proof argument")
	}
	if given != "" && !hmac.Equal([]byte(given), []byte(want)) {
		return refuse(100, 0, "Invalid appsecret_proof provided in the API argument")
	}
	return nil
}

// perform answers an authorised call.
func (m *Meta) perform(c *call) (any, *GraphError) { return m.settleCall(c, nil) }

// settleCall answers a call, unless it is refused already, and records it.
func (m *Meta) settleCall(c *call, refused *GraphError) (answer any, _ *GraphError) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if refused == nil {
		refused = m.spend(c)
	}
	if refused == nil {
		answer, refused = m.dispatch(c)
	}
	m.settle(c, answer, refused)
	return answer, refused
}

// settle records a call as it was answered. The lock is held.
func (m *Meta) settle(c *call, answer any, refused *GraphError) {
	c.entry.Status = http.StatusOK
	if refused != nil {
		c.entry.Status, c.entry.Code, c.entry.Subcode, c.entry.Error = refused.Status, refused.Code, refused.Subcode, refused.Message
		c.entry.Answer = m.keptJSON(refused.body())
	} else {
		c.entry.Answer = m.keptJSON(answer)
	}
	m.recordCall(c)
}

func (m *Meta) recordCall(c *call) {
	c.entry.Method, c.entry.Edge, c.entry.PSID = c.method, c.edge, c.psid()
	if m.opt.KeepBodies {
		c.entry.Request = m.keptJSON(c.params.withoutSecrets())
	}
	if c.app != nil {
		c.entry.App = c.app.id
	}
	entry := c.entry
	m.record(Entry{Call: &entry})
}

func (m *Meta) dispatch(c *call) (any, *GraphError) {
	answer, ofPage := m.edges[c.method+" "+c.edge], m.isPage(c.node)
	switch c.edge {
	case EdgeProfile, EdgeConversation, EdgeMessagesOf, EdgePersona:
		ofPage = true // they have nodes of their own
	}
	switch {
	case answer != nil && ofPage:
		return answer(c)
	case !ofPage || c.method != http.MethodGet:
		return nil, unsupported(c)
	case strings.Contains(c.edge, "/"):
		return nil, refuse(2500, 0, "Unknown path components: /%s", c.edge)
	}
	return nil, bad("Tried accessing nonexisting field (%s) on node type (Page)", c.edge)
}

// unsupported refuses what is not there.
func unsupported(c *call) *GraphError {
	return refuse(100, 33, "Unsupported %s request. Object with ID '%s' does not exist, cannot be loaded due to missing permissions, "+
		"or does not support this operation", strings.ToLower(c.method), c.node)
}

// psid returns whom the call is about, "" for nobody.
func (c *call) psid() messenger.PSID {
	switch c.edge {
	case EdgeProfile, EdgeConversation, EdgeMessagesOf:
		return messenger.PSID(strings.TrimPrefix(c.node, conversation))
	case EdgeUserSettings:
		return messenger.PSID(c.params.text("psid"))
	case EdgeConversations:
		return messenger.PSID(c.params.text("user_id"))
	}
	var to struct {
		ID json.RawMessage `json:"id"`
	}
	if json.Unmarshal(c.params.raw("recipient"), &to) == nil {
		return messenger.PSID(flexible(to.ID))
	}
	text := c.params.text("recipient")
	if lax, ok := strings.CutPrefix(text, "{id:"); ok { // as Meta's own samples have it
		text = strings.TrimSuffix(lax, "}")
	}
	return messenger.PSID(text)
}
