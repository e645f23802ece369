// Package client is a small client of the gateway, as an application would have it; client_test.go is how its team
// tests it.
package client

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ErrBroken is a stream that ended before its end was told.
var ErrBroken = errors.New("BROKEN_STREAM")

// Client tries again what may succeed, waits as it is told, and takes no part of an answer for the whole. BaseURL ends
// in /v1; Tries counts the first one.
type Client struct {
	BaseURL, Key string
	Tries        int
	HTTP         http.Client
}

type event struct {
	Response string `json:"response"`
	Error    *struct {
		Code string `json:"code"`
	} `json:"error"`
}

// Ask gives the answer to a message; the text of an error is the gateway's code.
func (c *Client) Ask(text string) (string, error) {
	wait := 100 * time.Millisecond
	for try := 1; ; try++ {
		response, err := c.post(text, false)
		if err == nil && response.StatusCode == http.StatusOK {
			var answer event
			err = json.NewDecoder(response.Body).Decode(&answer)
			response.Body.Close()
			return answer.Response, err
		}
		if err == nil {
			err = refusal(response)
			if response.StatusCode != 429 && response.StatusCode < 500 {
				return "", err
			}
			if told, bad := strconv.Atoi(response.Header.Get("Retry-After")); bad == nil {
				wait = time.Duration(told) * time.Second
			}
		}
		if try >= c.Tries {
			return "", err
		}
		time.Sleep(wait)
		wait *= 2
	}
}

// Stream gives the whole of a stream; ErrBroken, or another error, where its end is missing.
func (c *Client) Stream(text string) (string, error) {
	response, err := c.post(text, true)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", refusal(response)
	}
	defer response.Body.Close()
	var whole strings.Builder
	var data []string
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if part, found := strings.CutPrefix(lines.Text(), "data:"); found {
			data = append(data, strings.TrimPrefix(part, " "))
			continue
		}
		if lines.Text() != "" || data == nil { // a comment, another field, or an event without data
			continue
		}
		one := strings.Join(data, "\n")
		data = nil
		if one == "[DONE]" {
			return whole.String(), nil
		}
		var piece event
		if err := json.Unmarshal([]byte(one), &piece); err != nil {
			return "", err
		}
		if piece.Error != nil {
			return "", errors.New(piece.Error.Code)
		}
		whole.WriteString(piece.Response)
	}
	return "", errors.Join(ErrBroken, lines.Err())
}

func (c *Client) post(text string, stream bool) (*http.Response, error) {
	message := map[string]string{"role": "user", "content": text}
	body, err := json.Marshal(map[string]any{"messages": []any{message}, "stream": stream})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodPost, c.BaseURL+"/llm/auto", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.Key)
	request.Header.Set("Content-Type", "application/json")
	return c.HTTP.Do(request)
}

func refusal(response *http.Response) error {
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var said event
	if json.Unmarshal(body, &said) != nil || said.Error == nil {
		return errors.New(response.Status)
	}
	return errors.New(said.Error.Code)
}
