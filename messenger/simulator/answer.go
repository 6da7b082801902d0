package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
)

// GraphError is an error of the Graph API.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/error-codes
type GraphError struct {
	Status  int
	Code    int
	Subcode int
	Type    string
	Message string
}

// Error returns Meta's message.
func (r *GraphError) Error() string { return r.Message }

// refuse makes the usual kind: 400, OAuthException.
func refuse(code, subcode int, format string, args ...any) *GraphError {
	return &GraphError{
		Status: http.StatusBadRequest, Code: code, Subcode: subcode, Type: "OAuthException",
		Message: fmt.Sprintf(format, args...),
	}
}

// bad refuses a parameter.
func bad(format string, args ...any) *GraphError {
	return refuse(100, 0, "(#100) "+format, args...)
}

// reply is what a call is answered with: raw as it stands, or body as JSON.
type reply struct {
	status int
	header http.Header
	body   any
	raw    string
	cut    bool // the connection ends without an answer
}

// write answers r; a caller that left needs nothing.
func (a reply) write(w http.ResponseWriter) {
	if a.cut {
		panic(http.ErrAbortHandler) // net/http's way to end a connection without an answer
	}
	maps.Copy(w.Header(), a.header)
	if a.raw != "" {
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.raw)
		return
	}
	writeJSON(w, a.status, a.body)
}

const jsonType = "application/json; charset=UTF-8"

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a caller that left needs nothing
}

// refusal answers with r. The lock is held.
func (m *Meta) refusal(r *GraphError) reply {
	body := r.body()
	body["error"]["fbtrace_id"] = m.next("A")
	return reply{status: r.Status, body: body}
}

// body writes r as Meta does, but for the trace id.
func (r *GraphError) body() map[string]map[string]any {
	body := map[string]any{"message": r.Message, "type": r.Type, "code": r.Code}
	if r.Subcode != 0 {
		body["error_subcode"] = r.Subcode
	}
	if r.Code == 1 || r.Code == 2 {
		body["is_transient"] = true
	}
	return map[string]map[string]any{"error": body}
}
