package haul

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sink stands in Certyo's place. What it does is in the time of whoever posts, so it does the least that a service can: it reads the
// JSON of a request once, hashes each payload, and writes a receipt for each record as JSON. Blind, it doesn't even that: it looks for
// the keys and answers with hashes that it makes up. Keys are counted when all is over.
//
//	POST /api/v1/records/bulk, /api/v1/records   records, as Certyo takes them
//	POST /api/v1/verify/record                   anchored, but each fourth time not yet
//	POST /reset?keep=DIR&blind=true              forgets what came; what comes is also written to DIR, a file a body
//	GET  /report?keys=FILE                       a Report, beside the keys in FILE, one a line
type sink struct {
	mu       sync.Mutex
	keep     string
	blind    bool
	keys     []byte // of all records, each with a line's end
	records  int
	verifies int
	bodies   int
	first    time.Time
	refused  []string // requests that made no sense
	body     bytes.Buffer
	reply    bytes.Buffer
}

// Report is what came to the sink.
type Report struct {
	Records  int
	Posts    int
	Verifies int
	Missing  int       // keys that were due and never came
	Doubled  int       // records whose key had come before
	Strange  int       // records whose key wasn't due
	Refused  []string  // requests that made no sense
	First    time.Time // when the first record was there
}

// Check holds that n records came, each once, and nothing else.
func (r Report) Check(n int) error {
	if r.Records != n || r.Missing+r.Doubled+r.Strange+len(r.Refused) > 0 {
		return fmt.Errorf("the sink got %d records of %d: %d missing, %d doubled, %d that weren't due, refused %q",
			r.Records, n, r.Missing, r.Doubled, r.Strange, r.Refused)
	}
	return nil
}

func (s *sink) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/records/bulk", func(w http.ResponseWriter, r *http.Request) { s.post(w, r, `{"results":[`, `]}`) })
	mux.HandleFunc("POST /api/v1/records", func(w http.ResponseWriter, r *http.Request) { s.post(w, r, "", "") })
	mux.HandleFunc("POST /api/v1/verify/record", s.verify)
	mux.HandleFunc("POST /reset", s.reset)
	mux.HandleFunc("GET /report", s.report)
	return mux
}

// serve prints the sink's address and takes records until standard input ends.
func serve() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: (&sink{}).routes()}
	go server.Serve(l) // ends with the process
	fmt.Println("http://" + l.Addr().String())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func (s *sink) post(w http.ResponseWriter, r *http.Request, open, end string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body.Reset()
	if _, err := io.Copy(&s.body, r.Body); err != nil {
		return // the client went away: the records don't count
	}
	s.reply.Reset()
	s.reply.WriteString(open)
	take := s.read
	if s.blind {
		take = s.look
	}
	err := take(s.body.Bytes(), open == "")
	if err == nil && s.keep != "" {
		err = os.WriteFile(filepath.Join(s.keep, fmt.Sprintf("%06d", s.bodies)), s.body.Bytes(), 0o600)
	}
	s.bodies++
	if err != nil {
		s.refused = append(s.refused, err.Error())
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.reply.WriteString(end)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(s.reply.Len()))
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(s.reply.Bytes()) // a client that went away asks again
}

// sent is a record as it comes.
type sent struct {
	TenantID       string          `json:"tenantId"`
	Database       string          `json:"database"`
	Collection     string          `json:"collection"`
	RecordID       string          `json:"recordId"`
	Version        string          `json:"recordVersion"`
	Operation      string          `json:"operationType"`
	Timestamp      time.Time       `json:"sourceTimestamp"`
	IdempotencyKey string          `json:"idempotencyKey"`
	Payload        json.RawMessage `json:"recordPayload"`
}

// receipt is an element of the answer.
type receipt struct {
	RecordID   string `json:"recordId"`
	Key        string `json:"idempotencyKey"`
	Hash       string `json:"recordHash"`
	AcceptedAt string `json:"acceptedAt"`
	Replayed   bool   `json:"idempotencyReplayed"`
}

// read notes the records of a body and answers them.
func (s *sink) read(body []byte, single bool) error {
	request := struct{ Records []sent }{make([]sent, 1)}
	var into any = &request
	if single {
		into = &request.Records[0]
	}
	if err := json.Unmarshal(body, into); err != nil {
		return err
	}
	s.began()
	at := s.first.UTC().Format("2006-01-02T15:04:05.000Z")
	for i := range request.Records {
		r := &request.Records[i]
		if r.TenantID == "" || r.RecordID == "" || r.Version == "" || r.IdempotencyKey == "" || len(r.Payload) == 0 {
			return fmt.Errorf("record %d lacks something: %+v", i, r)
		}
		if i > 0 {
			s.reply.WriteByte(',')
		}
		sum := sha256.Sum256(r.Payload)
		text, err := json.Marshal(receipt{r.RecordID, r.IdempotencyKey, hex.EncodeToString(sum[:]), at, false})
		if err != nil {
			return err
		}
		s.reply.Write(text)
		s.keys = append(append(s.keys, r.IdempotencyKey...), '\n')
		s.records++
	}
	return nil
}

func (s *sink) began() {
	if s.first.IsZero() {
		s.first = time.Now()
	}
}

const beforeKey = `"idempotencyKey":"`

// look is read without reading. The mark can't stand inside of a text: there a quote is escaped.
func (s *sink) look(body []byte, _ bool) error {
	_, rest, found := bytes.Cut(body, []byte(beforeKey))
	if !found {
		return fmt.Errorf("a request of %d bytes has no record", len(body))
	}
	s.began()
	for n := 0; found; n++ {
		key, behind, whole := bytes.Cut(rest, []byte(`"`))
		if !whole || bytes.ContainsAny(key, "\\\n") {
			return fmt.Errorf("this is no key: %.60q", key)
		}
		s.keys = append(append(s.keys, key...), '\n')
		if n > 0 {
			s.reply.WriteByte(',')
		}
		s.answer(key)
		_, rest, found = bytes.Cut(behind, []byte(beforeKey))
	}
	return nil
}

// answer gives one record a receipt. Its hash is one that nobody can work out from the payload, nor make shorter.
func (s *sink) answer(key []byte) {
	var hash [32]byte
	for i := range 4 {
		binary.LittleEndian.PutUint64(hash[8*i:], mix(uint64(4*s.records+i)))
	}
	s.records++
	b := append(append(s.reply.AvailableBuffer(), `{"idempotencyKey":"`...), key...)
	b = hex.AppendEncode(append(b, `","recordHash":"`...), hash[:])
	b = append(b, `","acceptedAt":"2026-05-19T06:00:00.`...)
	b = append(b, '0', byte('0'+s.records/10%10), byte('0'+s.records%10))
	s.reply.Write(append(b, `Z","idempotencyReplayed":false}`...))
}

// mix is splitmix64: numbers in a row give bits without one.
func mix(n uint64) uint64 {
	n = (n + 1) * 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

func (s *sink) verify(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // the answer is the same
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if s.verifies++; s.verifies%4 == 0 {
		fmt.Fprint(w, `{"verified":false,"verificationStatus":"pending","reasonCategory":"not_anchored","anchoredOnChain":false,"snapshotHash":null}`)
		return
	}
	fmt.Fprint(w, `{"verified":true,"verificationStatus":"pass","reasonCategory":"verified_anchored","anchoredOnChain":true}`)
}

func (s *sink) reset(_ http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep, s.blind, s.keys, s.refused, s.first = r.FormValue("keep"), r.FormValue("blind") == "true", s.keys[:0], nil, time.Time{}
	s.records, s.bodies, s.verifies = 0, 0, 0
}

func (s *sink) report(w http.ResponseWriter, r *http.Request) {
	due, err := os.ReadFile(r.FormValue("keys"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := Report{Records: s.records, Posts: s.bodies, Verifies: s.verifies, Refused: s.refused, First: s.first}
	p.count(due, s.keys)
	_ = json.NewEncoder(w).Encode(p) // a client that went away has no use for it
}

// count compares two lists of keys, one a line.
func (r *Report) count(due, came []byte) {
	times := map[string]int{}
	for key := range strings.Lines(string(due)) {
		times[key] = 0
	}
	for key := range strings.Lines(string(came)) {
		n, there := times[key]
		switch {
		case !there:
			r.Strange++
		case n > 0:
			r.Doubled++
			fallthrough
		default:
			times[key]++
		}
	}
	for _, n := range times {
		if n == 0 {
			r.Missing++
		}
	}
}
