"""The script by which a page whose data stopped says so, and loads itself anew.

By itself, Rerun's page shows the last frame for ever then, as if it were live.
"""

#: Goes into the head of the page. It sees the answer pass by, and changes nothing in it.
SCRIPT = b"""<script>
(() => {
  const ask = window.fetch.bind(window);
  const reconnect = async () => {
    const notice = document.createElement('div');
    notice.textContent = 'The data stopped. This page loads anew as soon as the viewer answers. ' +
      'If this comes again and again, the page cannot keep up: start enet-ros view with a ' +
      'lower --rate, or show less.';
    notice.style = 'position: fixed; z-index: 9; left: 0; right: 0; bottom: 0; padding: 1em; ' +
      'background: #b00; color: #fff; font: 16px sans-serif';
    document.body.append(notice);
    for (;;) {
      await new Promise(wake => setTimeout(wake, 3000));
      const answer = await ask('/favicon.ico', {cache: 'no-store'}).catch(() => null);
      if (answer && answer.ok) return location.reload();
    }
  };
  window.fetch = async (...request) => {
    const answer = await ask(...request);
    if (!answer.ok || !answer.url.endsWith('/ReadMessages')) return answer;
    const reader = answer.body.getReader();
    const pull = async stream => {
      try {
        const {done, value} = await reader.read();
        if (!done) return stream.enqueue(value);
        stream.close();
      } catch (error) { stream.error(error); }
      reconnect();
    };
    const cancel = reason => reader.cancel(reason);
    return new Response(new ReadableStream({pull, cancel}), answer);
  };
})();
</script>"""
