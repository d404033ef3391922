// The scenario as somebody runs it with the types that openapi-typescript has made of the gateway's document, and openapi-fetch:
// scenario.js GATEWAY. `paths` is made of the document, so the compiler holds this file against it too.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import createClient from 'openapi-fetch';
import type { components, paths } from './api.js';

const DEADLINE_MS = 30_000;
const api = createClient<paths>({ baseUrl: process.argv[2] });

async function eventually<T>(find: () => Promise<T | undefined>): Promise<T> {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
        const found = await find();
        if (found !== undefined) return found;
        assert(Date.now() < deadline, 'it did not come');
        await setTimeout(100);
    }
}

const username = randomUUID();
const body = { username, password: 'correct horse', email: `${username}@example.org` };
const registered = await api.POST('/billing/user', { body });
assert.equal(registered.response.status, 201);
// 201 or 202: TypeScript demands that it is looked at.
assert(registered.data !== undefined && 'userId' in registered.data);
const userId = registered.data.userId;
const taken = await api.POST('/billing/user', { body });
assert.deepEqual([taken.response.status, taken.error?.code], [409, 'username-taken']);
const path = { userId };
const paidIn = await api.POST('/billing/deposit/{userId}', { params: { path }, body: { amount: 100 } });
assert.deepEqual(paidIn.data, { balance: 100 });

const order = { userId, price: 90 };
const header = { 'Idempotency-Key': username };
const created = await api.POST('/orders', { params: { header }, body: order });
const again = await api.POST('/orders', { params: { header }, body: order });
assert.equal(created.response.status, 201);
assert.deepEqual(created.data, again.data);
assert(created.data !== undefined && 'orderId' in created.data);
const { orderId } = created.data;
const paid = await api.GET('/orders/{orderId}', { params: { path: { orderId } } });
const status: components['schemas']['Order']['status'] | undefined = paid.data?.status;
assert.deepEqual([status, paid.data?.reason], ['paid', null]);

const refused = await api.POST('/orders', { body: order });
assert.deepEqual([refused.response.status, refused.error?.code], [412, 'insufficient-funds']);
const accepted = await api.POST('/orders', { params: { header: { Prefer: 'respond-async' } }, body: order });
assert(accepted.response.status === 202 && accepted.data !== undefined && 'requestId' in accepted.data);
const { requestId } = accepted.data;
const rejected = await eventually(async () => {
    const found = await api.GET('/orders/requests/{requestId}', { params: { path: { requestId } } });
    return found.data !== undefined && 'status' in found.data ? found.data : undefined;
});
assert.deepEqual([rejected.status, rejected.reason], ['rejected', 'insufficient-funds']);
const orders = await api.GET('/orders', { params: { query: { userId } } });
assert.deepEqual(orders.data?.map(({ id }) => id), [orderId, refused.error?.orderId, rejected.id]);

const user = await api.GET('/billing/user/{userId}', { params: { path } });
assert.equal(user.data?.balance, 10);
const titles = await eventually(async () => {
    const { data } = await api.GET('/notification/email/{userId}', { params: { path } });
    assert(data !== undefined);
    return data.length === 3 && data.every(({ status }) => status === 'sent') ? data.map(({ title }) => title) : undefined;
});
assert.deepEqual(titles.sort(), ['Not enough money', 'Not enough money', 'Order is paid']);
console.log('openapi-typescript: the scenario holds');
