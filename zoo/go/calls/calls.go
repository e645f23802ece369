// Package calls is what the Go clients share: the calls they are asked to make, how events are read, and the line told
// of each. How they are called and what they print is said in ../../python/calls.py.
package calls

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Timeout is how long a client waits for a whole answer.
func Timeout() time.Duration {
	seconds, err := strconv.ParseFloat(environment("LLM_TIMEOUT_S", "30"), 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, "LLM_TIMEOUT_S is seconds:", err)
		os.Exit(1)
	}
	return time.Duration(seconds * float64(time.Second))
}

const prompt = "讲一个大海的故事"

// Call is one call to make, and what has come of it so far.
type Call struct {
	Asked    string   `json:"call"`
	Pieces   []string `json:"pieces"`
	Complete bool     `json:"complete"`
	Error    []string `json:"error"`
	kind     string
	name     string
	fault    string
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func (c *Call) body() map[string]any {
	text := prompt
	if c.name != "" {
		text += " " + c.name
	}
	body := map[string]any{"messages": []message{{"user", text}}, "stream": c.kind != "plain"}
	if c.kind == "slow" {
		body["strategy"] = map[string][]string{"models": {"slow"}}
		body["max_tokens"] = 16
	}
	return body
}

// Request is the request of this call.
func (c *Call) Request() (*http.Request, error) {
	body, err := json.Marshal(c.body())
	if err != nil {
		return nil, err
	}
	base := strings.TrimRight(environment("LLM_BASE_URL", "http://127.0.0.1:8080"), "/")
	request, err := http.NewRequest("POST", base+"/v1/llm/auto", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+environment("LLM_API_KEY", "sk-test-unlimited"))
	request.Header.Set("Content-Type", "application/json")
	for name, value := range map[string]string{"X-Mock-Fault": c.fault, "X-Mock-Test": os.Getenv("LLM_TEST_ID")} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	return request, nil
}

// Read takes the whole answer, a stream line by line, every line for an event.
func (c *Call) Read(body io.Reader) error {
	if c.kind == "plain" {
		whole, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		c.Complete = true
		return c.take(whole)
	}
	scanner := bufio.NewScanner(body)
	for scanner.Scan() {
		line := scanner.Text()
		if !strings.HasPrefix(line, "data: ") {
			continue
		}
		if data := strings.TrimPrefix(line, "data: "); data == "[DONE]" {
			c.Complete = true
		} else if err := c.take([]byte(data)); err != nil {
			return err
		}
	}
	return scanner.Err()
}

// take takes one document, and its text, if there is any.
func (c *Call) take(data []byte) error {
	var found struct {
		Response string `json:"response"`
		Error    *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(data, &found); err != nil {
		return err
	}
	if found.Error != nil {
		return errors.New(found.Error.Message)
	}
	if found.Response != "" {
		c.Pieces = append(c.Pieces, found.Response)
	}
	return nil
}

// Run makes the calls that the command line asks for.
func Run(do func(*Call) error) {
	asked := os.Args[1:]
	if len(asked) == 0 {
		asked = []string{"plain"}
	}
	told := json.NewEncoder(os.Stdout)
	for _, one := range asked {
		what, fault, _ := strings.Cut(one, ":")
		kind, name, _ := strings.Cut(what, "@")
		if kind != "plain" && kind != "stream" && kind != "slow" {
			fmt.Fprintf(os.Stderr, "a call is plain, stream or slow, with @NAME and :FAULT behind it or not, not %q\n", one)
			os.Exit(1)
		}
		call := Call{Asked: one, Pieces: []string{}, kind: kind, name: name, fault: fault}
		call.Error = names(do(&call))
		if err := told.Encode(call); err != nil {
			os.Exit(1)
		}
	}
}

// known are the errors that a program asks for by name.
var known = []struct {
	is   error
	name string
}{
	{syscall.ECONNRESET, "syscall.ECONNRESET"},
	{io.ErrUnexpectedEOF, "io.ErrUnexpectedEOF"},
	{io.EOF, "io.EOF"},
}

// names gives the name by which errors.Is knows an error, else its type.
func names(err error) []string {
	if err == nil {
		return []string{}
	}
	for _, one := range known {
		if errors.Is(err, one.is) {
			return []string{one.name}
		}
	}
	return []string{strings.TrimPrefix(fmt.Sprintf("%T", err), "*")}
}

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
