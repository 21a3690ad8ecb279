// Shows how many windows are open, and has the session looked at once the server closes the line.
const said = document.querySelector('#windows');

const connect = () => {
	const line = new WebSocket(new URL('/live', location.href.replace(/^http/, 'ws')));
	line.onmessage = ({ data }) => {
		said.textContent = data === '1' ? 'this one' : `${data}, with this one`;
	};
	line.onclose = ({ code }) => {
		said.textContent = 'not connected';
		// 4401: the session ended. <portcullis-timeout> asks why, and covers the page.
		if (code === 4401) document.dispatchEvent(new Event('portcullis-check'));
		else setTimeout(connect, 3000);
	};
};
connect();
// A page that is kept for the back button holds no line open.
addEventListener('pageshow', ({ persisted }) => persisted && connect());
