package benchdeliver

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"station-agent/build/benchdeliver/haul"
	"station-agent/build/worker"
)

// sink is the process in Certyo's place.
type sink struct {
	url  string
	cmd  *exec.Cmd
	stop io.Closer // its standard input
	last haul.Report
}

func startSink(program string) (*sink, error) {
	cmd, err := worker.ProgramCommand(program, haul.Task{Work: haul.Sink})
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &sink{cmd: cmd, stop: in}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.close()
		return nil, fmt.Errorf("start the sink: %w", err)
	}
	s.url = strings.TrimSpace(line)
	return s, nil
}

func (s *sink) close() {
	s.stop.Close()
	_ = s.cmd.Wait() // what it had to say was said in its reports
}

// reset forgets what came. The bodies that come then are kept in a folder unless that is "".
func (s *sink) reset(keep string, blind bool) error {
	resp, err := http.Post(s.url+"/reset?keep="+url.QueryEscape(keep)+"&blind="+strconv.FormatBool(blind), "", nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// ask sets last, beside the keys of k.
func (s *sink) ask(k stock) error {
	resp, err := http.Get(s.url + "/report?keys=" + url.QueryEscape(k.keys))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	s.last = haul.Report{}
	return json.NewDecoder(resp.Body).Decode(&s.last)
}

// check holds that the records of k came, each once.
func (s *sink) check(k stock) error {
	if err := s.ask(k); err != nil {
		return err
	}
	return s.last.Check(k.n)
}

// chill drops the kernel's copy of every file in dir.
func chill(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}
