package benchcapture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// sink is the least that can stand in Certyo's place: it finds the key of each record and the number of the change that its
// package names, and accepts everything. What that costs is measured too, as it shares the machine: so they are counted
// when all is over.
//
// It answers 202 without a word, or, with receipts, one of them for each record, as the published samples have them.
type sink struct {
	receipts bool
	listener net.Listener
	server   *http.Server

	mu      sync.Mutex
	keys    []byte   // of all records, one behind the other, each with a line's end
	numbers []int    // of the changes that the packages name, 0 for a package that is none
	refused []string // requests that made no sense
	body    bytes.Buffer
	reply   bytes.Buffer
}

func newSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{listener: l}
	s.reset(false, 0)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/records/bulk", s.post)
	s.server = &http.Server{Handler: mux}
	go s.server.Serve(l) // ends with close
	return s, nil
}

func (s *sink) url() string { return "http://" + s.listener.Addr().String() }

func (s *sink) close() { s.server.Close() }

// reset forgets what came, before so many others come.
func (s *sink) reset(receipts bool, expected int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receipts, s.refused = receipts, nil
	s.keys, s.numbers = make([]byte, 0, 64*expected), make([]int, 0, expected)
}

func (s *sink) post(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body.Reset()
	if _, err := io.Copy(&s.body, r.Body); err != nil {
		return // the client went away: the records don't count
	}
	s.reply.Reset()
	if err := s.take(s.body.Bytes()); err != nil {
		s.refused = append(s.refused, err.Error())
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(s.reply.Bytes()) // a client that went away asks again
}

const (
	beforeKey     = `"idempotencyKey":"`
	beforePackage = `"external_package_id":"` + packages
)

// take notes the records of a body. Inside of a text these marks can't stand: there a quote is escaped.
func (s *sink) take(body []byte) error {
	_, rest, found := bytes.Cut(body, []byte(beforeKey))
	if !found {
		return fmt.Errorf("a request of %d bytes has no record", len(body))
	}
	s.reply.WriteString(`{"results":[`)
	for n := 0; found; n++ {
		var one []byte
		one, rest, found = bytes.Cut(rest, []byte(beforeKey))
		key, one, whole := bytes.Cut(one, []byte(`"`))
		if !whole {
			return fmt.Errorf("a key is cut off: %.60q", key)
		}
		s.keys = append(append(s.keys, key...), '\n')
		change := 0
		if _, number, named := bytes.Cut(one, []byte(beforePackage)); named {
			number, _, _ := bytes.Cut(number, []byte(`"`))
			var err error
			if change, err = strconv.Atoi(string(number)); err != nil {
				return fmt.Errorf("a package names no change: %.60q", number)
			}
		}
		s.numbers = append(s.numbers, change)
		if s.receipts {
			s.receipt(n, string(key))
		}
	}
	if s.reply.WriteString(`]}`); !s.receipts {
		s.reply.Reset()
	}
	return nil
}

// receipt answers one record. Its hash is one that nobody can work out from the payload.
func (s *sink) receipt(n int, key string) {
	if n > 0 {
		s.reply.WriteByte(',')
	}
	quoted, _ := json.Marshal(key) // a string can't fail
	fmt.Fprintf(&s.reply, `{"idempotencyKey":%s,"recordHash":"%064x","acceptedAt":"2026-05-19T06:00:00.%03dZ","idempotencyReplayed":false}`,
		quoted, uint64(len(s.numbers))*0x9e3779b97f4a7c15, n%1000)
}

// missing tells how many of the changes 1 to n never came, and how many keys or changes came again.
func (s *sink) missing(n int) (lost, doubled int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, numbers := map[string]bool{}, map[int]int{}
	for key := range bytes.Lines(s.keys) {
		keys[string(key)] = true
	}
	for _, i := range s.numbers {
		numbers[i]++
	}
	for i := 1; i <= n; i++ {
		if numbers[i] == 0 {
			lost++
		}
		doubled += max(0, numbers[i]-1)
	}
	return lost, max(doubled, len(s.numbers)-len(keys))
}

// check holds that the changes 1 to n came, each once and under a key of its own, and nothing else.
func (s *sink) check(n int) error {
	lost, doubled := s.missing(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if lost > 0 || doubled > 0 || len(s.numbers) != n || len(s.refused) > 0 {
		return fmt.Errorf("the sink got %d records of %d changes: %d lost, %d doubled, refused %q", len(s.numbers), n, lost, doubled, s.refused)
	}
	return nil
}
